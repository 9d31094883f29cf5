import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { TileAnswer } from "./shown";
import { Tiles } from "./tiles";

const MINUTE = 60_000;
let asked: number[][];
let made: Set<number>;
let lost: boolean;
/** Milliseconds by which this machine's clock is ahead of the service's. */
let wrong: number;

vi.mock("../api/client", () => ({ call: (_method: string, _path: string, { body }: { body: { photo_ids: number[] } }) => answer(body.photo_ids) }));

async function answer(ids: number[]): Promise<{ tiles: TileAnswer[] }> {
  asked.push(ids);
  await Promise.resolve();
  if (lost) throw new Error("lost");
  return { tiles: ids.filter((id) => id < 1_000).map(tile) };
}

/** Its address ends after ten minutes. */
function tile(id: number): TileAnswer {
  const there = made.has(id);
  return {
    id, title: null, original_filename: "x.jpg", content_type: "image/jpeg", width: 3, height: 2, blurhash: null,
    sort_at: "2024-05-07T00:00:00", favourite: false, archived: false, renditions: there ? "ready" : "pending",
    thumbnail_url: there ? `https://store/${id}?Expires=${(Date.now() - wrong) / 1000 + 600}` : null,
  };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("location", { origin: "http://here" });
  asked = [];
  made = new Set(Array.from({ length: 900 }, (_, i) => i + 1));
  lost = false;
  wrong = 0;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function later(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

test("two hundred are asked for at once, and again before their addresses end", async () => {
  const tiles = new Tiles(() => undefined);
  const ids = Array.from({ length: 250 }, (_, i) => i + 1);
  tiles.want(ids);
  await later(10);
  expect(asked.map((each) => each.length)).toEqual([200, 50]);
  await later(5 * MINUTE);
  tiles.want(ids);
  await later(10);
  expect(asked.length).toBe(2);
  await later(4.5 * MINUTE);
  tiles.want(ids);
  await later(10);
  expect(asked.length).toBe(4);
});

test("a thumbnail that is not made yet is asked for with patience, until it is, and not for ever", async () => {
  const came = vi.fn();
  const tiles = new Tiles(came);
  tiles.want([950, 951]);
  await later(3_000);
  expect(asked.length).toBe(2);
  made.add(950);
  await later(5_000);
  expect(tiles.known.get(950)!.thumbnail).not.toBeNull();
  await later(60 * MINUTE);
  expect(asked.filter((each) => each.includes(950)).length).toBeLessThan(5);
  expect(asked.filter((each) => each.includes(951)).length).toBe(13);
});

test("what is gone is told and not asked for again; what got no answer is", async () => {
  const gone = vi.fn();
  const tiles = new Tiles(() => undefined, gone);
  lost = true;
  tiles.want([5, 2_000]);
  await later(40 * MINUTE);
  expect(gone).not.toHaveBeenCalled();
  lost = false;
  await later(MINUTE);
  expect(tiles.known.has(5)).toBe(true);
  expect(gone).toHaveBeenCalledWith([2_000]);
  const before = asked.length;
  tiles.want([5, 2_000]);
  await later(30 * MINUTE);
  expect(asked.length).toBe(before);
});

test("four thousand are kept, those that were looked at last", async () => {
  const tiles = new Tiles(() => undefined);
  made = new Set(Array.from({ length: 999 }, (_, i) => i + 1));
  tiles.put(Array.from({ length: 4_500 }, (_, i) => ({ ...tileOf(i + 1), until: Infinity })));
  expect(tiles.known.size).toBe(4_000);
  expect(tiles.known.has(500)).toBe(false);
  expect(tiles.known.has(4_500)).toBe(true);
});

function tileOf(id: number) {
  return {
    id, thumbnail: "x", blurhash: null, title: "", filename: "", type: "", width: 3, height: 2,
    takenAt: "", favourite: false, archived: false, renditions: "ready" as const, until: 0,
  };
}

test.each([3 * 60, -3 * 60])("a clock that is %i minutes wrong does not have tiles asked for on and on", async (minutes) => {
  const tiles = new Tiles(() => undefined);
  vi.setSystemTime(Date.now() + minutes * MINUTE);
  wrong = minutes * MINUTE;
  tiles.want([1, 2]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked).toEqual([[1, 2]]);
});

test("a clock that is put back does not have anybody wait for hours", async () => {
  const tiles = new Tiles(() => undefined);
  lost = true;
  tiles.want([1]);
  await vi.advanceTimersByTimeAsync(100);
  lost = false;
  vi.setSystemTime(Date.now() - 180 * MINUTE);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(asked.length).toBe(2);
});
