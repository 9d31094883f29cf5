import { en, type Key } from "./en";
import { ko } from "./ko";

export type Language = "en" | "ko";

const KEPT = "photo-api.language";
const TEXTS: Record<Language, Record<Key, string>> = { en, ko };

function preferred(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "ko") return kept;
  return navigator.languages.some((tag) => tag.startsWith("ko")) ? "ko" : "en";
}

let language = $state<Language>(preferred());

/** The text of this key, with {name} replaced. A count chooses `key.one` or `key.other` beforehand. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

export function currentLanguage(): Language {
  return language;
}

export function chooseLanguage(chosen: Language): void {
  language = chosen;
  localStorage.setItem(KEPT, chosen);
  document.documentElement.lang = chosen;
}
