/** What the API takes for an account, so that a form tells it before anything is sent. */

import type { Key } from "../i18n/index.svelte";

const SHORTEST_NAME = 2;
const SHORTEST_PASSWORD = 8;
const LONGEST = 100;

export function emailProblem(email: string): Key | null {
  const address = email.trim();
  return /^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$/.test(address) && address.length <= 254 ? null : "sign.email_needed";
}

export function nameProblem(name: string): Key | null {
  const length = [...name.normalize("NFC").trim()].length;
  return length >= SHORTEST_NAME && length <= LONGEST ? null : "sign.username_needed";
}

/** Of one that is to be set. Counted as the API counts: characters in their compatible form. */
export function passwordProblem(password: string): Key | null {
  if (password === "") return "sign.password_needed";
  const length = [...password.normalize("NFKC")].length;
  if (length < SHORTEST_PASSWORD) return "sign.password_short";
  return length > LONGEST ? "sign.password_long" : null;
}
