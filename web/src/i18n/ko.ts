import type { Key } from "./en";

export const ko: Record<Key, string> = {
  "app.name": "사진",
  "nav.timeline": "사진",
  "nav.albums": "앨범",
  "nav.favourites": "즐겨찾기",
  "nav.archive": "보관함",
  "nav.trash": "휴지통",
  "nav.account": "계정",
  "sign.in": "로그인",
  "sign.up": "계정 만들기",
  "sign.out": "로그아웃",
  "sign.email": "이메일",
  "sign.password": "비밀번호",
  "sign.username": "이름",
  "sign.wrong": "이메일 또는 비밀번호가 올바르지 않습니다.",
  "photo.untitled": "사진",
  "error.unreachable": "서버에 연결할 수 없습니다. 네트워크를 확인하세요. 잃은 것은 없습니다.",
};
