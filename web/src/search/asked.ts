/** What is searched for, as the address and the API have it: both use the same names. Pure. */

const NAMES = [
  "q", "taken_from", "taken_before", "camera", "type", "favourite", "archived", "has_place", "album", "missing", "bbox",
] as const;
export type Filter = (typeof NAMES)[number];
export type Asked = { [name in Filter]?: string | undefined };

export function askedIn(parameters: URLSearchParams): Asked {
  const asked: Asked = {};
  for (const name of NAMES) {
    const value = parameters.get(name)?.trim();
    if (value) asked[name] = value;
  }
  return asked;
}

/** In one order, so that the same question is the same text. */
export function written(asked: Asked): string {
  const parameters = new URLSearchParams();
  for (const name of NAMES) if (asked[name]) parameters.set(name, asked[name]);
  return parameters.toString();
}

export function addressOf(asked: Asked): string {
  const query = written(asked);
  return query ? `/search?${query}` : "/search";
}

/** The API has a text of signs alone for none. */
export function hasLetters(text: string): boolean {
  return /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(text);
}

const DAY = 86_400_000;

/** The day after, or before: `taken_before` is the first day that is too late. */
export function dayBeside(day: string, days: 1 | -1): string {
  const time = Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(time) ? "" : new Date(time + days * DAY).toISOString().slice(0, 10);
}

/** What the fields of a time show: its first and its last day, "" where it is open. */
export function daysOf({ taken_from: from = "", taken_before: before = "" }: Asked): { first: string; last: string } {
  return { first: from.slice(0, 10), last: before.length > 10 ? before.slice(0, 10) : before && dayBeside(before, -1) };
}

const REST = 300;
const COMPOSING_REST = 900;
const LONE_JAMO = /[\u1100-\u11ff\u3130-\u318f]$/;

/**
 * Milliseconds of rest after which what was typed is searched for; null: not yet. While a syllable is
 * being composed somebody may still add to it, so that takes longer, and half a syllable is none.
 */
export function restAfter(text: string, composing: boolean): number | null {
  if (!composing) return REST;
  return LONE_JAMO.test(text) ? null : COMPOSING_REST;
}
