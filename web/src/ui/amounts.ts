/** Sizes and times in words of the reader's language. */

import { currentLanguage, locale } from "../i18n/index.svelte";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** Bytes, in steps of a thousand as disks and `photo-api users quota` have them. */
export function size(bytes: number): string {
  let step = 0;
  let value = bytes;
  // What would be rounded to 1,000 is 1 of the next.
  while (value >= 999.5 && step < UNITS.length - 1) {
    value /= 1000;
    step++;
  }
  const digits = step === 0 || value >= 99.5 ? 0 : 1;
  const unit = { style: "unit", unit: UNITS[step], unitDisplay: step === 0 ? "long" : "short" } as const;
  return value.toLocaleString(currentLanguage(), { ...unit, maximumFractionDigits: digits });
}

const SPANS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** How long ago that was, at most "now": clocks differ. */
export function ago(date: string, now = Date.now()): string {
  const format = new Intl.RelativeTimeFormat(currentLanguage(), { numeric: "auto" });
  const seconds = Math.max(0, (now - Date.parse(date)) / 1000);
  for (const [unit, length] of SPANS) if (seconds >= length) return format.format(-Math.floor(seconds / length), unit);
  return format.format(0, "second");
}

export function day(date: string): string {
  return new Date(date).toLocaleDateString(locale(), { dateStyle: "long" });
}
