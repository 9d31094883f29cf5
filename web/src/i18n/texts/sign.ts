/** Signing in and opening an account. */
export const en = {
  "sign.in": "Sign in",
  "sign.up": "Create account",
  "sign.out": "Sign out",
  "sign.email": "E-mail",
  "sign.password": "Password",
  "sign.username": "Name",
  "sign.wrong": "E-mail or password is wrong.",
} as const;

export const ko: Record<keyof typeof en, string> = {
  "sign.in": "로그인",
  "sign.up": "계정 만들기",
  "sign.out": "로그아웃",
  "sign.email": "이메일",
  "sign.password": "비밀번호",
  "sign.username": "이름",
  "sign.wrong": "이메일 또는 비밀번호가 올바르지 않습니다.",
};
