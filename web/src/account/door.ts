/** How people come in: signing in, opening an account, setting a password by a link, and going. */

import { ApiError, call } from "../api/client";
import { service } from "../api/service";
import { drop, keep, type Granted, type Left } from "../api/session";
import { forget, keep as keepText, kept } from "../kept";
import { t } from "../i18n/index.svelte";
import { notifyFailure } from "../ui/notices.svelte";

/** Who may open an account; a release before this one does not say. */
export type Registration = "open" | "invitation" | "closed" | "unknown";

export async function registration(): Promise<Registration> {
  try {
    return (await service()).registration ?? "unknown";
  } catch {
    return "unknown";
  }
}

export async function signIn(email: string, password: string): Promise<void> {
  keep(await call<Granted>("POST", "/auth/login", { body: { email, password }, anonymous: true }));
}

export interface Newcomer {
  email: string;
  username: string;
  password: string;
  token?: string;
}

/** Opens the account and signs in. An attempt whose answer was lost may have opened it: then the
 * refusal of the next one is not the last word. */
export async function register(newcomer: Newcomer): Promise<void> {
  const { email, password } = newcomer;
  try {
    await call("POST", "/auth/register", { body: newcomer, anonymous: true });
  } catch (error) {
    if (!(error instanceof ApiError && error.repeated)) throw error;
    await signIn(email, password).catch(() => {
      throw error;
    });
    return;
  }
  await signIn(email, password);
}

/** Here at once; the server is told as soon as it can be. */
export function signOut(why: Left = "out"): void {
  const refresh = drop(why);
  if (refresh === null) return;
  call("POST", "/auth/logout", { body: { refresh_token: refresh }, anonymous: true }).catch((error: unknown) => {
    if (!(error instanceof ApiError && error.status === 401)) notifyFailure(t("sign.out_unknown"));
  });
}

/**
 * The token of the link by which somebody came. It leaves the address bar, where others could read
 * it, and stays for this tab, so that a reload finds it.
 */
export function linkToken(page: "register" | "reset"): string {
  const key = `photo-api.link.${page}`;
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    keepText(key, token, "tab");
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return token ?? kept(key, "tab") ?? "";
}

export function forgetLink(page: "register" | "reset"): void {
  forget(`photo-api.link.${page}`, "tab");
}
