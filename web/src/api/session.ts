/**
 * The tokens of whoever is signed in, kept in localStorage, shared by all tabs.
 *
 * A refresh token works once; of several tabs that need a new access token one asks, under a Web
 * Lock, and the others take what it got. Tokens are dropped on 401 alone: a 503 or a lost answer
 * says nothing about them.
 */

export interface Tokens {
  access: string;
  refresh: string;
  /** Milliseconds since the epoch, by this machine's clock. */
  expiresAt: number;
}

interface Granted {
  access_token: string;
  refresh_token: string;
  expires_in: number;
}

const KEY = "photo-api.session";
const LOCK = "photo-api.refresh";
/** Asked for anew so long before the end, in milliseconds, so that no request meets the end. */
const AHEAD = 60_000;

const listeners = new Set<() => void>();

export function tokens(): Tokens | null {
  const kept = localStorage.getItem(KEY);
  if (kept === null) return null;
  try {
    return JSON.parse(kept) as Tokens;
  } catch {
    return null;
  }
}

export function signedIn(): boolean {
  return tokens() !== null;
}

export function keep(granted: Granted): void {
  localStorage.setItem(
    KEY,
    JSON.stringify({
      access: granted.access_token,
      refresh: granted.refresh_token,
      expiresAt: Date.now() + granted.expires_in * 1000,
    } satisfies Tokens),
  );
  tell();
}

export function drop(): void {
  localStorage.removeItem(KEY);
  tell();
}

/** Calls back when somebody signs in or out, in this tab or another. */
export function onChange(callback: () => void): () => void {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

addEventListener("storage", (event) => {
  if (event.key === KEY || event.key === null) tell();
});

function tell(): void {
  for (const callback of listeners) callback();
}

/**
 * An access token that is good for a while, or null when nobody is signed in (any more).
 * `not` is one that was refused: another one is wanted, whatever the clock says.
 */
export async function accessToken(not?: string): Promise<string | null> {
  const now = tokens();
  if (now === null) return null;
  if (now.access !== not && Date.now() < now.expiresAt - AHEAD) return now.access;
  return await alone(() => refreshed(not));
}

async function refreshed(not?: string): Promise<string | null> {
  const now = tokens();
  if (now === null) return null;
  if (now.access !== not && Date.now() < now.expiresAt - AHEAD) return now.access;
  const answer = await fetch("/api/auth/refresh", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ refresh_token: now.refresh }),
    signal: AbortSignal.timeout(15_000),
  });
  if (answer.ok) {
    keep((await answer.json()) as Granted);
    return tokens()!.access;
  }
  if (answer.status === 401 || answer.status === 403) {
    drop();
    return null;
  }
  // Unknown, not "no": the old one may still do, and the caller's own retry asks again.
  return now.access;
}

/** One tab at a time; one call at a time where a page on plain http has no locks. */
let last: Promise<unknown> = Promise.resolve();
function alone<T>(work: () => Promise<T>): Promise<T> {
  if (navigator.locks) return navigator.locks.request(LOCK, work) as Promise<T>;
  const next = last.then(work, work);
  last = next.catch(() => undefined);
  return next;
}
