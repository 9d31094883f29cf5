/** What is known of each month of a timeline, and what it takes to know the rest. */

import { call } from "../api/client";
import type { Page } from "./columns";

export interface MonthAnswer {
  ids: number[];
  ratios: (number | null)[];
  days: number[];
  next: string | null;
}

export interface Month {
  /** How many photos the months' list said. */
  told: number;
  /** How many are known, from the month's first on. */
  known: number;
  next: string | null;
  whole: boolean;
  /** Known, but something has changed since. */
  stale: boolean;
  /** How often something has changed or may have. */
  doubts: number;
  /** The one request that is under way; resolves with what went wrong, or null. */
  loading: Promise<unknown> | null;
  stop: AbortController | null;
  /** Wanted by somebody else than whoever scrolls by. */
  needed: boolean;
  /** Not asked before then, in milliseconds since the epoch, after so many failures. */
  notBefore: number;
  failures: number;
}

export function unknownMonth(told: number): Month {
  return {
    told, known: 0, next: null, whole: told === 0,
    stale: false, doubts: 0, loading: null, stop: null,
    needed: false, notBefore: 0, failures: 0,
  };
}

const MOST = 5_000;

/** A page of a month, behind the cursor. */
export async function monthPage(month: string, archived: boolean, cursor: string | null, signal: AbortSignal): Promise<MonthAnswer> {
  const query = new URLSearchParams({ limit: String(MOST) });
  if (archived) query.set("archived", "true");
  if (cursor !== null) query.set("cursor", cursor);
  return await call<MonthAnswer>("GET", `/timeline/${month}?${query}`, { signal });
}

/** At least so many photos of a month, and how to go on behind them. */
export async function monthFrom(
  month: string, archived: boolean, wanted: number, cursor: string | null, signal: AbortSignal,
): Promise<Page & { next: string | null }> {
  const all: { ids: number[]; ratios: number[]; days: number[] } = { ids: [], ratios: [], days: [] };
  let next = cursor;
  do {
    const page = await monthPage(month, archived, next, signal);
    all.ids = all.ids.concat(page.ids);
    all.ratios = all.ratios.concat(page.ratios.map((ratio) => ratio ?? 0));
    all.days = all.days.concat(page.days);
    next = page.next;
  } while (next !== null && all.ids.length < wanted);
  return { ...all, next };
}
