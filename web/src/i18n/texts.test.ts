import { expect, test } from "vitest";

interface Part {
  en: Record<string, string>;
  ko: Record<string, string>;
}
const parts = Object.entries(import.meta.glob<Part>("./texts/*.ts", { eager: true }));
const sources = Object.entries(
  import.meta.glob<string>(["../**/*.{ts,svelte}", "!./texts/*.ts", "!../**/*.test.ts"], { query: "?raw", import: "default", eager: true }),
);
const both = parts.flatMap(([file, { en, ko }]) => Object.keys(en).map((key) => ({ file, key, en: en[key]!, ko: ko[key]! })));

function placeholders(text: string): string[] {
  return [...new Set(text.match(/\{\w+\}/g))].sort();
}

test("both languages say the same with the same values, each in its own letters", () => {
  expect(parts.flatMap(([file, { en, ko }]) => Object.keys(ko).filter((key) => !(key in en)).map((key) => `${file}: ${key}`))).toEqual([]);
  const unlike = both.filter(({ en, ko }) => String(placeholders(en)) !== String(placeholders(ko)));
  expect(unlike.map(({ key, en, ko }) => [key, en, ko])).toEqual([]);
  const worded = (text: string) => /[a-z]{3}/i.test(text.replace(/\{\w+\}/g, ""));
  const untranslated = both.filter(({ en, ko }) => worded(en) && !/[\uac00-\ud7a3]/.test(ko));
  expect(untranslated.map(({ key, ko }) => `${key}: ${ko}`).filter((said) => !/: (EXIF|ISO|QR|JPEG|GPS)\b/.test(said))).toEqual([]);
  expect(both.filter(({ en, ko }) => !en.trim() || !ko.trim()).map(({ key }) => key)).toEqual([]);
});

test("a key is named for its file, and all that is counted has both forms", () => {
  expect(both.filter(({ file, key }) => {
    const name = /(\w+)\.ts$/.exec(file)![1]!;
    return name === "common" ? !/^(app|nav|action|state|error)\./.test(key) : !key.startsWith(`${name}.`);
  }).map(({ file, key }) => `${file}: ${key}`)).toEqual([]);
  const keys = new Set(both.map(({ key }) => key));
  const halves = [...keys].filter((key) => key.endsWith(".one") && !keys.has(key.replace(/one$/, "other")));
  expect(halves).toEqual([]);
});

test("every text is used", () => {
  const whole = sources.map(([, source]) => source).join("\n");
  // Parts of keys that are put together: `account.theme_${theme}`, `${stem}.one`.
  const made = [...whole.matchAll(/`([a-z_]+\.[\w.]*)\$\{[^}]*\}([\w.]*)`/g)].map(([, before, after]) => [before!, after!] as const);
  const unused = both.map(({ key }) => key).filter((key) => {
    const stem = key.replace(/\.(one|other)$/, "");
    if (whole.includes(`"${key}"`) || whole.includes(`"${stem}"`)) return false;
    return !made.some(([before, after]) => stem.startsWith(before) && stem.endsWith(after));
  });
  expect(unused).toEqual([]);
});

/** The markup alone, without what stands in braces, however deep. */
function markup(source: string): string {
  const plain = source.replace(/<script[\s\S]*?<\/script>|<style[\s\S]*?<\/style>|<!--[\s\S]*?-->/g, "");
  let depth = 0;
  let out = "";
  for (const character of plain) {
    if (character === "{") depth++;
    if (depth === 0) out += character;
    if (character === "}") depth--;
  }
  return out;
}

test("no component says anything that is not among the texts", () => {
  const said: string[] = [];
  for (const [file, source] of sources) {
    if (!file.endsWith(".svelte")) continue;
    const found = markup(source);
    for (const [, name, text] of found.matchAll(/\b(aria-label|title|placeholder|alt|label|aria-description)="([^"]*\p{L}{2}[^"]*)"/gu)) said.push(`${file}: ${name}=${text}`);
    for (const [text] of found.replace(/<[^>]*>/g, "\n").matchAll(/.*\p{L}{2}.*/gu)) said.push(`${file}: ${text.trim()}`);
  }
  expect(said).toEqual([]);
});

test("colours go by the reader's choice, and no component asks the device beside it", () => {
  expect(sources.filter(([, source]) => source.includes("prefers-color-scheme")).map(([file]) => file)).toEqual([]);
});
