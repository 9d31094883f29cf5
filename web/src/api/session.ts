/**
 * The tokens of whoever is signed in, kept in localStorage, shared by all tabs.
 *
 * A refresh token works once; of several tabs that need a new access token one asks, under a Web
 * Lock, and the others take what it got. Tokens are dropped on 401 alone: a 503 or a lost answer
 * says nothing about them.
 */

import { forget, keep as keepText, kept } from "../kept";

interface Tokens {
  access: string;
  refresh: string;
  /** When they came and when the access token ends: milliseconds since the epoch, both by this
   * machine's clock, however wrong that is. */
  at: number;
  expiresAt: number;
}

export interface Granted {
  access_token: string;
  refresh_token: string;
  expires_in: number;
}

/** Why nobody is signed in any more; "out" is by their own wish. */
export type Left = "ended" | "closed" | "out";

/** The refresh was answered with no, but not with 401: the session may go on later. */
export class RefreshRefused extends Error {
  constructor(readonly answer: Response) {
    super("refresh refused");
  }
}

/** The refresh got no answer, or one that says nothing about the tokens. */
export class RefreshUnknown extends Error {}

const KEY = "photo-api.session";
const LOCK = "photo-api.refresh";
/** Milliseconds before the end from which another one is asked for, so that no request meets the
 * end; a quarter of its time for one that lasts less than four minutes. */
const AHEAD = 60_000;
const PATIENCE = 15_000;

const listeners = new Set<() => void>();
let left: Left | null = null;

function tokens(): Tokens | null {
  try {
    const told = JSON.parse(kept(KEY) ?? "null") as Tokens | null;
    return told !== null && isWhole(told) ? told : null;
  } catch {
    return null;
  }
}

/** What another release, or whoever else, has put there is as good as nothing: no answer of the service
 * would ever end it. */
function isWhole({ access, refresh, at, expiresAt }: Partial<Record<keyof Tokens, unknown>>): boolean {
  return isToken(access) && isToken(refresh) && Number.isFinite(at) && Number.isFinite(expiresAt);
}

function isToken(told: unknown): boolean {
  return typeof told === "string" && /^[\x21-\x7e]+$/.test(told);
}

export function signedIn(): boolean {
  return tokens() !== null;
}

/** The id of who is signed in, or "". */
export function whose(): string {
  try {
    const claims = tokens()!.access.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    return String((JSON.parse(atob(claims)) as { sub?: unknown }).sub ?? "");
  } catch {
    return "";
  }
}

/** Null for who has not been signed in since the page was opened. */
export function whyLeft(): Left | null {
  return left;
}

export function keep(granted: Granted): void {
  const at = Date.now();
  const { access_token: access, refresh_token: refresh, expires_in: seconds } = granted;
  keepText(KEY, JSON.stringify({ access, refresh, at, expiresAt: at + seconds * 1000 } satisfies Tokens));
  left = null;
  tell();
}

/** Forgets the tokens, and returns the refresh token, by which the session is ended. */
export function drop(why: Left): string | null {
  const refresh = tokens()?.refresh ?? null;
  forget(KEY);
  left = why;
  tell();
  return refresh;
}

/** Calls back when somebody signs in or out, in this tab or another. */
export function onChange(callback: () => void): () => void {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

addEventListener("storage", (event) => {
  if (event.key !== KEY && event.key !== null) return;
  left = signedIn() ? null : "ended";
  tell();
});

function tell(): void {
  for (const callback of listeners) callback();
}

/**
 * An access token that is good for a while, or null when nobody is signed in (any more).
 * `not` is one that was refused: another one is wanted, whatever the clock says.
 * Throws `RefreshRefused`, `RefreshUnknown`.
 */
export async function accessToken(not?: string): Promise<string | null> {
  const now = tokens();
  if (now === null) return null;
  if (now.access !== not && isFresh(now)) return now.access;
  return await alone(() => refreshed(not));
}

/** A clock that was put back makes it unknown how much of its time is left. */
function isFresh({ at, expiresAt }: Tokens, ahead = Math.min(AHEAD, (expiresAt - at) / 4)): boolean {
  const now = Date.now();
  return at <= now && now < expiresAt - ahead;
}

async function refreshed(not?: string): Promise<string | null> {
  const now = tokens();
  if (now === null) return null;
  if (now.access !== not && isFresh(now)) return now.access;
  const answer = await ask(now.refresh);
  const meanwhile = tokens();
  if (meanwhile?.refresh !== now.refresh) {
    // Another tab was faster, or somebody has signed out or in: what it kept counts.
    return meanwhile?.access ?? null;
  }
  if (answer !== null && !(answer instanceof Response)) {
    keep(answer);
    return answer.access_token;
  }
  if (answer?.status === 401) {
    drop("ended");
    return null;
  }
  if (answer?.status === 403) throw new RefreshRefused(answer);
  // Unknown, not "no": the old one does to its end.
  if (now.access !== not && isFresh(now, 0)) return now.access;
  throw new RefreshUnknown();
}

/** The tokens, a refusal, or null for no (whole) answer. Repeated, it gives the same successor. */
async function ask(refresh: string): Promise<Granted | Response | null> {
  try {
    const answer = await fetch("/api/auth/refresh", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token: refresh }),
      signal: AbortSignal.timeout(PATIENCE),
      credentials: "omit",
    });
    if (answer.ok) return (await answer.json()) as Granted;
    // A page is of somebody between: it says nothing about the tokens.
    return /^text\/html\b/i.test(answer.headers.get("Content-Type") ?? "") ? null : answer;
  } catch {
    return null;
  }
}

/** One tab at a time; one call at a time where a page on plain http has no locks. */
let last: Promise<unknown> = Promise.resolve();
async function alone<T>(work: () => Promise<T>): Promise<T> {
  if (navigator.locks) return (await navigator.locks.request(LOCK, work)) as T;
  const next = last.then(work, work);
  last = next.catch(() => undefined);
  return await next;
}
