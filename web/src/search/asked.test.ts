import { expect, test } from "vitest";
import { addressOf, askedIn, dayBeside, daysOf, hasLetters, restAfter, written } from "./asked";

test("an address says what is searched for, and nothing else", () => {
  const asked = askedIn(new URLSearchParams("camera=Canon+EOS&q=+%EC%84%9C%EC%9A%B8+&cursor=x&type=&limit=9"));
  expect(asked).toEqual({ q: "서울", camera: "Canon EOS" });
  expect(askedIn(new URLSearchParams(written(asked)))).toEqual(asked);
  expect([addressOf({}), addressOf({ type: "heic", q: "a&b" })]).toEqual(["/search", "/search?q=a%26b&type=heic"]);
});

test("a last day is part of its time", () => {
  expect(daysOf({ taken_from: "2024-02-01", taken_before: "2024-03-01" })).toEqual({ first: "2024-02-01", last: "2024-02-29" });
  expect(daysOf({ taken_before: "2024-03-01T12:00" })).toEqual({ first: "", last: "2024-03-01" });
  expect(daysOf({})).toEqual({ first: "", last: "" });
  expect([dayBeside("2024-12-31", 1), dayBeside("nonsense", 1)]).toEqual(["2025-01-01", ""]);
});

test("half a syllable is not searched for", () => {
  expect(restAfter("서울", false)).toBeLessThan(restAfter("서울", true)!);
  expect(restAfter("서우ㄹ", true)).toBe(null);
  expect(restAfter("ㄱ", false)).not.toBe(null);
});

test("signs alone find nothing", () => {
  expect(["서", "a_", "7", "é", "🌸"].map(hasLetters)).toEqual([true, true, true, true, true]);
  expect(["", "_", "%%", "—"].map(hasLetters)).toEqual([false, false, false, false]);
});
