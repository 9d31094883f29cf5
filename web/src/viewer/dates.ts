/** Dates by the clock on the wall where a photo was taken, which are the same wherever one looks at them. */

/** Minutes ahead of UTC that clocks are, somewhere. */
const OFFSETS = [
  ...Array.from({ length: 27 }, (_, i) => (i - 12) * 60),
  ...[-570, -210, 210, 270, 330, 345, 390, 525, 570, 630, 765],
];

/** "Sunday, 12 May 2024, 15:30:00" */
export function wallDate(sortAt: string, language: string): string {
  const form = { dateStyle: "full", timeStyle: "medium", timeZone: "UTC" } as const;
  return new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, form).format(new Date(`${sortAt}Z`));
}

/** 540 is "UTC+09:00". */
export function offsetName(minutes: number): string {
  const size = Math.abs(minutes);
  const two = (value: number) => String(value).padStart(2, "0");
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** Those that there are to choose from, with this one among them. */
export function offsets(own: number | null): number[] {
  const all = new Set(OFFSETS);
  if (own !== null) all.add(own);
  return [...all].sort((one, other) => one - other);
}

/** What an input for date and time gives, which leaves out seconds that are 0; null if it is not whole. */
export function fromInput(value: string): string | null {
  const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?(\.\d+)?$/.exec(value);
  return found ? found[1] + (found[2] ?? ":00") : null;
}
