/** How photos, days and months are called. */

import { currentLanguage, t } from "../i18n/index.svelte";
import type { Tile } from "./shown";

const FORMS = {
  day: { dateStyle: "long", timeZone: "UTC" },
  month: { year: "numeric", month: "long", timeZone: "UTC" },
} as const;

const formats = new Map<string, Intl.DateTimeFormat>();

function format(form: keyof typeof FORMS, date: string): string {
  const language = ownForm(currentLanguage());
  const key = `${language} ${form}`;
  let made = formats.get(key);
  if (!made) formats.set(key, (made = new Intl.DateTimeFormat(language, FORMS[form])));
  return made.format(new Date(`${date}T00:00:00Z`));
}

/** As the browser's owner writes this language: 12 May 2024, or May 12, 2024. */
function ownForm(language: string): string {
  return navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
}

/** "May 2024" of "2024-05". */
export function monthName(month: string): string {
  return format("month", `${month}-01`);
}

/** "12 May 2024" of "2024-05-12", "May 2024" of "2024-05". */
export function dayName(day: string): string {
  return day.length > 7 ? format("day", day) : monthName(day);
}

/** What a screen reader calls a photo: its title, or else its date. `day` is where the tile is not known. */
export function nameOf(tile: Tile | undefined, day: string): string {
  if (tile?.title) return tile.title;
  const date = tile?.takenAt.slice(0, 10) || day;
  return date === "" ? t("timeline.untitled") : t("timeline.photo", { date: dayName(date) });
}
