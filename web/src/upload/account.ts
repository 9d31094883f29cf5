/** Whose uploads they are: the `sub` of the access token, known without asking anybody. */

import { tokens } from "../api/session";

export function currentAccount(): string | null {
  const payload = tokens()?.access.split(".")[1];
  if (payload === undefined) return null;
  try {
    const claims = JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/"))) as { sub?: string };
    return claims.sub ?? null;
  } catch {
    return null;
  }
}
