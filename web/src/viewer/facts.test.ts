import { expect, test } from "vitest";
import { fromInput, offsetName, offsets, wallDate } from "./dates";
import { exposure, kindOf, mapOf, megapixels, placeOf, sizeOf } from "./facts";

test("an exposure is told as far as it is known", () => {
  expect(exposure({ f_number: 1.8, exposure_time: "1/200", focal_length: 35, iso: 100 }, "en")).toBe(
    "f/1.8 · 1/200 s · 35 mm · ISO 100",
  );
  expect(exposure({ iso: 3200 }, "en")).toBe("ISO 3200");
  expect(exposure({}, "en")).toBe("");
});

test("sizes, kinds and places are in people's units", () => {
  expect([999, 2_345_678, 123_456_789].map((bytes) => sizeOf(bytes, "en"))).toEqual(["999 byte", "2.3 MB", "123 MB"]);
  expect(kindOf("image/heic")).toBe("HEIC");
  expect([megapixels(4032, 3024, "en"), megapixels(640, 480, "en")]).toEqual(["12", "0.3"]);
  expect(megapixels(4032, 3024, "ko")).toBe("1,219만");
  expect(placeOf(-33.8568, 151.2153)).toBe("33.8568° S, 151.2153° E");
  expect(mapOf(-33.8568, 1e-7)).toBe(
    "https://www.openstreetmap.org/?mlat=-33.856800&mlon=0.000000#map=15/-33.856800/0.000000",
  );
});

test("a date is that of the clock on the wall, in any zone", () => {
  expect(wallDate("2024-05-12T15:30:00", "en")).toMatch(/Sunday,? 12 May 2024.* 15:30:00/);
  expect(wallDate("2024-05-12T15:30:00", "ko")).toMatch(/2024년 5월 12일 일요일 오후 3:30:00/);
  expect([540, -210, 0].map(offsetName)).toEqual(["UTC+09:00", "UTC−03:30", "UTC+00:00"]);
});

test("what a camera's clock was set to can be chosen, however odd", () => {
  expect(offsets(null)).toContain(345);
  expect(offsets(null)).toHaveLength(38);
  expect(offsets(17)).toHaveLength(39);
  expect(offsets(17)).toEqual([...offsets(17)].sort((one, other) => one - other));
});

test("an input leaves out seconds that are 0", () => {
  expect(fromInput("2024-05-12T15:30")).toBe("2024-05-12T15:30:00");
  expect(fromInput("2024-05-12T15:30:07.000")).toBe("2024-05-12T15:30:07");
  expect(fromInput("2024-05-12")).toBeNull();
});
