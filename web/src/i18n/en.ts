/** Every text of the gallery. Korean has the same keys; a test compares them and what uses them. */
export const en = {
  "app.name": "Photos",
  "nav.timeline": "Photos",
  "nav.albums": "Albums",
  "nav.favourites": "Favourites",
  "nav.archive": "Archive",
  "nav.trash": "Trash",
  "nav.account": "Account",
  "sign.in": "Sign in",
  "sign.up": "Create account",
  "sign.out": "Sign out",
  "sign.email": "E-mail",
  "sign.password": "Password",
  "sign.username": "Name",
  "sign.wrong": "E-mail or password is wrong.",
  "photo.untitled": "Photo",
  "error.unreachable": "The server cannot be reached. Check your connection; nothing is lost.",
} as const;

export type Key = keyof typeof en;
