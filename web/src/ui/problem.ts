/** What went wrong, in the reader's language, with what to do. */

import { ApiError, Unreachable } from "../api/client";
import { t, type Key } from "../i18n/index.svelte";

/** `texts` has a view's own words for codes of the API; anything else is said in general ones. */
export function problem(error: unknown, texts: Partial<Record<string, Key>> = {}): string {
  if (error instanceof Unreachable) return t("error.unreachable");
  if (!(error instanceof ApiError)) throw error;
  const own = texts[error.code];
  if (own) return t(own, { seconds: error.retryAfter, detail: error.detail });
  if (error.status === 404) return t("error.not_found");
  if (error.status === 429) return t("error.too_often", { seconds: Math.max(error.retryAfter, 1) });
  if (error.status === 503) return t("error.busy");
  if (error.status >= 500) return t("error.inside", { request: error.requestId });
  // The API's own words say what is wrong with the input, and what to do.
  return error.detail;
}
