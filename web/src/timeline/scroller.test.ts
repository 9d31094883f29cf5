import { expect, test } from "vitest";
import { Scroller } from "./scroller";

const VIEW = 800;
const LONG = 40_000_000;

test("what an element can be as long as is scrolled as it is", () => {
  const scroller = new Scroller();
  expect(scroller.size(9_000_000)).toBe(9_000_000);
  expect(scroller.moved(1234.5, 9_000_000, VIEW)).toBe(1234.5);
  expect(scroller.offset(9_000_000)).toBe(0);
  expect(scroller.jump(77, 9_000_000, VIEW)).toBe(77);
});

test("of what is longer, each place can be gone to, and found at its scroll position", () => {
  for (const place of [0, 1, 499_999, 500_001, 20_000_000, LONG - VIEW - 500_001, LONG - VIEW - 3, LONG - VIEW]) {
    const scroll = new Scroller().jump(place, LONG, VIEW);
    expect(scroll).toBeGreaterThanOrEqual(0);
    expect(scroll).toBeLessThanOrEqual(10_000_000 - VIEW);
    const other = new Scroller();
    // From elsewhere, as by the scroll bar.
    other.jump(place < LONG / 2 ? LONG - VIEW : 0, LONG, VIEW);
    expect(Math.abs(other.moved(scroll, LONG, VIEW) - place)).toBeLessThan(0.01);
  }
});

test("small steps move as far as the hand does, and resting moves nothing", () => {
  const scroller = new Scroller();
  let scroll = scroller.jump(20_000_000, LONG, VIEW);
  let place = 20_000_000;
  for (let step = 0; step < 200; step++) {
    const shown = place - scroller.offset(LONG);
    expect(shown).toBeCloseTo(scroll, 3);
    scroll += 120;
    expect(scroller.moved(scroll, LONG, VIEW)).toBeCloseTo((place += 120), 3);
  }
  const settled = scroller.settle(LONG, VIEW);
  expect(settled).toBeLessThan(scroll);
  expect(place - scroller.offset(LONG)).toBeCloseTo(settled, 3);
});

test("the last pixels before an end are scrolled one by one", () => {
  const scroller = new Scroller();
  let scroll = scroller.jump(LONG - VIEW - 1_000, LONG, VIEW);
  for (let step = 0; step < 10; step++) scroller.moved((scroll += 99), LONG, VIEW);
  expect(scroller.moved((scroll += 10), LONG, VIEW)).toBeCloseTo(LONG - VIEW, 3);
  expect(scroll).toBeCloseTo(10_000_000 - VIEW, 3);
});
