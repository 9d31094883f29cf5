/**
 * Requests to the API under /api.
 *
 * Instances come and go while somebody looks at photos: what got no answer, or 502, 503 or 504, is
 * sent again for as long as a drain and a new start take. Every method here may be sent twice: POSTs
 * that create carry an Idempotency-Key.
 */

import { RefreshRefused, RefreshUnknown, accessToken } from "./session";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly requestId: string,
    /** Seconds after which it makes sense to try again; 0 if the API does not say. */
    readonly retryAfter: number,
    /** After an attempt without an answer, which may have done what this one refuses to do again. */
    readonly repeated = false,
    /** Of input that was refused (422): the kind of its first fault, as the API names it. */
    readonly fault = "",
  ) {
    super(detail);
  }

  /** Said by no API: by a proxy before it, which knows nothing of photos. */
  get foreign(): boolean {
    return this.code === `http_${this.status}`;
  }
}

/** No answer came, after all attempts: what was asked for may or may not have happened. */
export class Unreachable extends Error {}

export interface Options {
  body?: unknown;
  signal?: AbortSignal | undefined;
  /** Without the token, also if somebody is signed in. */
  anonymous?: boolean;
  /** One of this request's own; repeated attempts carry the same. */
  idempotent?: boolean;
  headers?: Record<string, string>;
  /** Milliseconds until an attempt's answer, body and all, is taken for none; half a minute by default. */
  patience?: number;
}

const ATTEMPTS = 6;
const PASSING = new Set([502, 503, 504]);
const PATIENCE = 30_000;
const LONGEST_PAUSE = 8_000;

export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
  return told<T>(await send(method, path, options), options.signal);
}

/** What an answer says. One that is cut off, or is none of the service's, such as the page by which a
 * hotel's network asks for a name, is no answer. */
export async function told<T>(answer: Response, signal?: AbortSignal): Promise<T> {
  try {
    const text = await answer.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(answer.url);
  }
}

export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (options.idempotent) headers["Idempotency-Key"] = crypto.randomUUID?.() ?? randomKey();
  const body = options.body === undefined ? null : JSON.stringify(options.body);
  let refused: { token: string; answer: Response } | undefined;
  let repeated = false;
  for (let attempt = 1; ; attempt++) {
    let answer: Response | null = null;
    const token = options.anonymous ? null : await tokenFor(refused?.token);
    if (token === null && refused) throw await failure(refused.answer, repeated);
    if (token !== undefined) {
      if (token !== null) headers["Authorization"] = `Bearer ${token}`;
      answer = await once(method, path, headers, body, options);
      if (answer?.ok) return answer;
      if (answer?.status === 401 && token && refused === undefined) {
        refused = { token, answer };
        continue;
      }
      if (answer !== null && !mayPass(answer, options)) throw await failure(answer, repeated);
      repeated ||= answer?.status !== 503 && answer?.status !== 429;
    }
    if (attempt === ATTEMPTS) throw answer ? await failure(answer, repeated) : new Unreachable(path);
    const told = Number(answer?.headers.get("Retry-After") ?? 0) * 1000;
    await pause(Math.min(told || 250 * 2 ** attempt, LONGEST_PAUSE) * (0.75 + Math.random() / 2), options.signal);
  }
}

/** Also what was too much at once for a moment; who signs in is told how long they have to wait. */
function mayPass({ status, headers }: Response, { anonymous }: Options): boolean {
  if (status === 429) return !anonymous && Number(headers.get("Retry-After") ?? 0) * 1000 <= LONGEST_PAUSE;
  return PASSING.has(status);
}

/** Null: nobody is signed in. Undefined: that could not be found out now. */
async function tokenFor(refused: string | undefined): Promise<string | null | undefined> {
  try {
    return await accessToken(refused);
  } catch (error) {
    if (error instanceof RefreshRefused) throw await failure(error.answer, false);
    if (error instanceof RefreshUnknown) return undefined;
    throw error;
  }
}

/** The answer with all of its body, or null: one that was cut off is as good as none. */
async function once(
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string | null,
  { signal, patience: most = PATIENCE }: Options,
): Promise<Response | null> {
  const patience = AbortSignal.timeout(most);
  try {
    const answer = await fetch(`/api${path}`, {
      method,
      headers,
      body,
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      credentials: "omit",
    });
    const whole = await answer.blob();
    return new Response(whole.size > 0 ? whole : null, answer);
  } catch (error) {
    if (signal?.aborted) throw error;
    return null;
  }
}

async function failure(answer: Response, repeated: boolean): Promise<ApiError> {
  let said: { detail?: unknown; code?: string; request_id?: string } = {};
  try {
    said = ((await answer.json()) as typeof said | null) ?? said;
  } catch {
    // A proxy's own page: the status has to do.
  }
  const [first] = Array.isArray(said.detail) ? (said.detail as { msg?: unknown; type?: unknown }[]) : [];
  return new ApiError(
    answer.status,
    said.code ?? `http_${answer.status}`,
    typeof said.detail === "string" ? said.detail : String(first?.msg ?? ""),
    said.request_id ?? answer.headers.get("X-Request-ID") ?? "",
    Number(answer.headers.get("Retry-After") ?? 0),
    repeated,
    String(first?.type ?? ""),
  );
}

export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, milliseconds);
    function done(): void {
      signal?.removeEventListener("abort", stop);
      resolve();
    }
    function stop(): void {
      clearTimeout(timer);
      reject(signal!.reason);
    }
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** crypto.randomUUID is there on https and localhost alone. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}
