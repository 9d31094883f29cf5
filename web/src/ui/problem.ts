/** What went wrong, in the reader's language, with what to do. */

import { ApiError, Unreachable } from "../api/client";
import { currentLanguage, t, type Key } from "../i18n/index.svelte";

/** `texts` has a view's own words for codes of the API; anything else is said in general ones. */
export function problem(error: unknown, texts: Partial<Record<string, Key>> = {}): string {
  if (error instanceof Unreachable) return t("error.unreachable");
  if (!(error instanceof ApiError)) {
    // A fault of ours: told to the console, and nobody waits for what does not come.
    reportError(error);
    return t("error.unreachable");
  }
  const own = texts[error.code];
  if (own) return t(own, { wait: duration(error.retryAfter), detail: error.detail });
  if (error.status === 401) return t("error.signed_out");
  if (error.code === "inactive_user") return t("error.inactive");
  if (error.status === 429) return t("error.too_often", { wait: duration(error.retryAfter) });
  if (error.status === 503) return t("error.busy");
  if (error.foreign) return t("error.between", { status: error.status });
  if (error.status === 404) return t("error.not_found");
  if (error.status >= 500) return t("error.inside", { request: error.requestId });
  const limit = /\d+/.exec(error.detail)?.[0];
  const known = LENGTHS[error.fault];
  // The API's own words say what else is wrong with the input.
  return known && limit ? t(known, { limit }) : t("error.input", { detail: error.detail || error.code });
}

const LENGTHS: Partial<Record<string, Key>> = { string_too_long: "error.too_long", string_too_short: "error.too_short" };

/** Seconds in words, as somebody waits for them. */
function duration(seconds: number): string {
  const [value, unit] = seconds > 90 ? [Math.ceil(seconds / 60), "minute"] : [Math.max(seconds, 1), "second"];
  return value.toLocaleString(currentLanguage(), { style: "unit", unit: unit as string, unitDisplay: "long" });
}
