/** What an attempt that failed means: for its file alone, or for all that wait. */

import { ApiError, Unreachable } from "../api/client";
import { PutRefused } from "./put";
import { Again, Refused } from "./sending";
import { OtherAccount } from "./transport";

export type Judgement =
  | { kind: "refused"; code: string; detail: string }
  /** All wait so many seconds, as the API says. */
  | { kind: "wait"; seconds: number }
  /** Nobody answers: all wait, longer and longer. */
  | { kind: "trouble"; code: string }
  | { kind: "again"; code: string }
  /** Nobody, or somebody else, is signed in. */
  | { kind: "account" };

export function judged(error: unknown): Judgement {
  if (error instanceof Refused) return { kind: "refused", code: error.code, detail: error.message };
  if (error instanceof Again) return { kind: "again", code: "changed" };
  if (error instanceof OtherAccount) return { kind: "account" };
  if (error instanceof Unreachable) return { kind: "trouble", code: "unreachable" };
  if (error instanceof PutRefused) return putRefused(error);
  if (error instanceof ApiError) return refusedByApi(error);
  return { kind: "refused", code: "unexpected", detail: String(error) };
}

function putRefused({ status }: PutRefused): Judgement {
  if (status === 429 || status >= 500) return { kind: "trouble", code: "store_refused" };
  return { kind: "again", code: "store_refused" };
}

function refusedByApi(error: ApiError): Judgement {
  const { status, code, detail, retryAfter } = error;
  if (status === 401) return { kind: "account" };
  if (status === 429 || code === "request_in_progress") return { kind: "wait", seconds: Math.max(1, retryAfter) };
  if (status >= 500) return { kind: "trouble", code: "unreachable" };
  if (code === "request_timeout" || error.foreign) return { kind: "again", code: "unreachable" };
  return { kind: "refused", code: status === 404 ? "album_gone" : code, detail };
}
