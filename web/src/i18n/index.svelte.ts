/**
 * The texts of the page in its two languages. English is the set of keys: a text that Korean lacks
 * does not compile. A key begins with the name of its file.
 */

import { keep, kept } from "../kept";
import type * as account from "./texts/account";
import type * as albums from "./texts/albums";
import type * as arrange from "./texts/arrange";
import type * as common from "./texts/common";
import type * as search from "./texts/search";
import type * as selection from "./texts/selection";
import type * as share from "./texts/share";
import type * as sign from "./texts/sign";
import type * as timeline from "./texts/timeline";
import type * as trash from "./texts/trash";
import type * as upload from "./texts/upload";
import type * as viewer from "./texts/viewer";

export type Language = "en" | "ko";
export type Key =
  | keyof typeof account.en
  | keyof typeof albums.en
  | keyof typeof arrange.en
  | keyof typeof common.en
  | keyof typeof search.en
  | keyof typeof selection.en
  | keyof typeof share.en
  | keyof typeof sign.en
  | keyof typeof timeline.en
  | keyof typeof trash.en
  | keyof typeof upload.en
  | keyof typeof viewer.en;
export type Texts = Record<Key, string>;

/** Nobody loads the language of others (see `oneLanguage` in vite.config.ts), nor waits for texts that
 * the first page does not show. */
const FIRST: Record<Language, () => Promise<{ default: Partial<Texts> }>> = {
  en: () => import("./first.en"),
  ko: () => import("./first.ko"),
};
const REST: Record<Language, () => Promise<{ default: Partial<Texts> }>> = {
  en: () => import("./rest.en"),
  ko: () => import("./rest.ko"),
};

/** By their own names, which no language changes. */
export const LANGUAGES: Record<Language, string> = { en: "English", ko: "한국어" };

const KEPT = "photo-api.language";

function preferred(): Language {
  const chosen = kept(KEPT);
  if (chosen === "en" || chosen === "ko") return chosen;
  return (navigator.languages.find((tag) => /^(ko|en)\b/.test(tag)) ?? "en").startsWith("ko") ? "ko" : "en";
}

const begun = preferred();
let language = $state<Language>(begun);
let texts = $state.raw<Partial<Texts>>({});

/** Those of the first page; before that there are none. */
export async function firstTexts(): Promise<void> {
  texts = (await FIRST[begun]()).default;
  document.documentElement.lang = begun;
}

/** All of them; before that the others are empty. */
export async function allTexts(wanted: Language = language): Promise<void> {
  const [first, rest] = await Promise.all([FIRST[wanted](), REST[wanted]()]);
  texts = { ...first.default, ...rest.default };
  language = wanted;
  document.documentElement.lang = wanted;
}

/** What there are texts `….one` and `….other` of. */
type Counted = Key extends infer Each ? (Each extends `${infer Stem}.other` ? Stem : never) : never;

/** The text of this key, with {name} replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return (texts[key] ?? "").replace(/\{(\w+)\}/g, (_, name: string) => {
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

/** Rejects, and leaves all as it was, where the texts cannot be loaded. */
export async function chooseLanguage(chosen: Language): Promise<void> {
  await allTexts(chosen);
  keep(KEPT, chosen);
}
