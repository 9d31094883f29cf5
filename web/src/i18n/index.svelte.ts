/**
 * The texts of the page in its two languages. English is the set of keys: a text that Korean lacks
 * does not compile. A key begins with the name of its file.
 */

import { keep, kept } from "../kept";
import * as account from "./texts/account";
import * as albums from "./texts/albums";
import * as arrange from "./texts/arrange";
import * as common from "./texts/common";
import * as search from "./texts/search";
import * as selection from "./texts/selection";
import * as share from "./texts/share";
import * as sign from "./texts/sign";
import * as timeline from "./texts/timeline";
import * as trash from "./texts/trash";
import * as upload from "./texts/upload";
import * as viewer from "./texts/viewer";

export type Language = "en" | "ko";

const en = {
  ...common.en, ...account.en, ...albums.en, ...arrange.en, ...search.en, ...selection.en, ...share.en, ...sign.en,
  ...timeline.en, ...trash.en, ...upload.en, ...viewer.en,
};
export type Key = keyof typeof en;
const ko: Record<Key, string> = {
  ...common.ko, ...account.ko, ...albums.ko, ...arrange.ko, ...search.ko, ...selection.ko, ...share.ko, ...sign.ko,
  ...timeline.ko, ...trash.ko, ...upload.ko, ...viewer.ko,
};

/** By their own names, which no language changes. */
export const LANGUAGES: Record<Language, string> = { en: "English", ko: "한국어" };

const KEPT = "photo-api.language";
export const TEXTS: Record<Language, Record<Key, string>> = { en, ko };

function preferred(): Language {
  const chosen = kept(KEPT);
  if (chosen === "en" || chosen === "ko") return chosen;
  return (navigator.languages.find((tag) => /^(ko|en)\b/.test(tag)) ?? "en").startsWith("ko") ? "ko" : "en";
}

const begun = preferred();
let language = $state<Language>(begun);
document.documentElement.lang = begun;

/** What there are texts `….one` and `….other` of. */
type Counted = Key extends infer Each ? (Each extends `${infer Stem}.other` ? Stem : never) : never;

/** The text of this key, with {name} replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? value.toLocaleString(language) : value;
  });
}

/** The text of as many as that: `….one` or `….other`, with {count} replaced, too. */
export function counted(stem: Counted, count: number, values: Record<string, string | number> = {}): string {
  const form = new Intl.PluralRules(language).select(count) === "one" ? "one" : "other";
  return t(`${stem}.${form}` as Key, { ...values, count });
}

export function currentLanguage(): Language {
  return language;
}

/** For dates: the language as it is written where the reader lives. */
export function locale(): string {
  return navigator.languages.find((tag) => tag.startsWith(language)) ?? language;
}

export function chooseLanguage(chosen: Language): void {
  language = chosen;
  keep(KEPT, chosen);
  document.documentElement.lang = chosen;
}
