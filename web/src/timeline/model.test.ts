import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { changed } from "../photos/changes";
import { TimelineModel } from "./model.svelte";
import type { TileAnswer } from "./shown";

/** What there is: months from the latest on, each with its photos' ids from the latest on. */
let library: Map<string, number[]>;
let asked: string[];
let lost: boolean;
/** Milliseconds that an answer takes. */
let slow: number;
const PAGE = 5_000;

vi.mock("../api/client", () => ({ call: (method: string, path: string, options: Options) => answer(method, path, options) }));

interface Options {
  body?: { photo_ids: number[] };
  signal?: AbortSignal;
}

async function answer(_method: string, path: string, { body, signal }: Options): Promise<unknown> {
  const url = new URL(path, "http://here");
  asked.push(path);
  await new Promise((resolve) => setTimeout(resolve, slow));
  signal?.throwIfAborted();
  if (lost) throw new Error("lost");
  if (body) return { tiles: body.photo_ids.map(tile) };
  if (url.pathname === "/timeline")
    return { months: [...library].flatMap(([month, ids]) => (ids.length > 0 ? [{ month, photos: ids.length }] : [])) };
  const ids = library.get(url.pathname.slice("/timeline/".length))!;
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const page = ids.slice(from, from + PAGE);
  return { ids: page, ratios: page.map(() => 1.5), days: page.map(() => 7), favourites: [], next: from + PAGE < ids.length ? String(from + PAGE) : null };
}

function tile(id: number): TileAnswer {
  return {
    id, title: null, original_filename: `${id}.jpg`, content_type: "image/jpeg", width: 3000, height: 2000, blurhash: null,
    sort_at: "2024-05-07T00:00:00", favourite: false, archived: false, renditions: "ready", thumbnail_url: `https://store/${id}?Expires=9999999999`,
  };
}

function fill(months: number, each: number): void {
  let id = months * each;
  library = new Map();
  for (let i = 0; i < months; i++) {
    const month = `${2025 - Math.floor(i / 12)}-${String(12 - (i % 12)).padStart(2, "0")}`;
    library.set(month, Array.from({ length: each }, () => id--));
  }
}

async function opened(): Promise<TimelineModel> {
  const model = new TimelineModel();
  stop = model.start();
  model.layOut({ width: 1000, target: 200, gap: 4, heading: 52 });
  await vi.advanceTimersByTimeAsync(50);
  expect(model.state).toBe("ready");
  asked = [];
  return model;
}
let stop: () => void = () => undefined;

async function look(model: TimelineModel, from: number, to: number): Promise<void> {
  model.want(from, to);
  await vi.advanceTimersByTimeAsync(500);
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("location", { origin: "http://here" });
  vi.stubGlobal("document", Object.assign(new EventTarget(), { visibilityState: "visible" }));
  vi.stubGlobal("addEventListener", () => undefined);
  asked = [];
  lost = false;
  slow = 5;
});
afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("of a million photos, those in view are asked for", async () => {
  fill(125, 8_000);
  const model = await opened();
  expect(model.ids.length).toBe(1_000_000);
  expect(model.geometry!.total).toBeGreaterThan(10_000_000);
  const before = model.geometry!.heads[70];
  await look(model, 500_100, 500_160);
  // The 100th photo of the 63rd month: one page of it, and the tiles.
  expect(asked.filter((path) => path.startsWith("/timeline/"))).toEqual([`/timeline/${model.sections[62].month}?limit=5000`]);
  expect(asked.filter((path) => path === "/photos/tiles").length).toBe(1);
  expect(model.ids[500_100]).toBe(1_000_000 - 500_100);
  expect(model.ids[496_000]).toBe(1_000_000 - 496_000);
  expect(model.ids[495_999]).toBe(0);
  expect(model.tiles.size).toBe(60);
  // Its real ratios move all that is below, and nothing above.
  expect(model.geometry!.heads[70]).not.toBe(before);
  expect(model.geometry!.top[500_100]).toBeGreaterThan(model.geometry!.heads[62]);
});

test("the second page of a month is asked for when somebody comes there, and what was flown over is given up", async () => {
  fill(30, 12_000);
  const model = await opened();
  await look(model, 0, 40);
  await look(model, 11_000, 11_040);
  const [first] = model.sections;
  expect(asked.filter((path) => path.includes(first.month)).length).toBe(3);
  expect(model.ids[11_999]).toBe(30 * 12_000 - 11_999);
  asked = [];
  for (let index = 24_000; index < 300_000; index += 3_000) model.want(index, index + 40);
  await vi.advanceTimersByTimeAsync(500);
  expect(new Set(asked).size).toBeLessThanOrEqual(3);
  // Also what was asked for already.
  slow = 300;
  await look(model, 120_000, 120_040);
  expect(model.ids[120_000]).toBeGreaterThan(0);
  model.want(180_000, 180_040);
  await vi.advanceTimersByTimeAsync(100);
  await look(model, 240_000, 240_040);
  expect(model.ids[240_000]).toBeGreaterThan(0);
  expect(model.ids[180_000]).toBe(0);
});

test("what is deleted leaves at once, what comes back is asked for, and the others stay", async () => {
  fill(3, 100);
  const model = await opened();
  await look(model, 100, 160);
  const [gone, there] = [model.ids[105], model.ids[150]];
  library.set("2025-11", library.get("2025-11")!.filter((id) => id !== gone));
  changed("delete", [gone]);
  expect(model.find(gone)).toBe(-1);
  expect(model.find(there)).toBe(149);
  expect(model.sections.map(({ count }) => count)).toEqual([100, 99, 100]);
  library.set("2025-11", library.get("2025-11")!.concat(gone).sort((a, b) => b - a));
  changed("restore", [gone]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(model.find(gone)).toBe(105);
  expect(model.find(there)).toBe(150);
});

test("uploads appear, in a month that there was not, while the rest stays known", async () => {
  fill(2, 50);
  const model = await opened();
  await look(model, 0, 50);
  library = new Map([["2026-01", [900]], ...library]);
  changed("uploaded", [900]);
  await vi.advanceTimersByTimeAsync(1_500);
  await look(model, 0, 51);
  expect(model.sections[0]).toEqual({ month: "2026-01", count: 1 });
  expect(Array.from(model.ids.subarray(0, 3))).toEqual([900, 100, 99]);
});

test("a range that nobody has seen is known when asked for, and a failure is told", async () => {
  fill(4, 7_000);
  const model = await opened();
  const known = model.know(6_990, 15_000);
  await vi.advanceTimersByTimeAsync(500);
  await known;
  expect(model.ids.subarray(6_990, 15_000).includes(0)).toBe(false);
  lost = true;
  const failed = expect(model.know(20_000, 22_000)).rejects.toThrow("lost");
  await vi.advanceTimersByTimeAsync(500);
  await failed;
  await look(model, 21_000, 21_050);
  expect(model.halted).not.toBeNull();
  lost = false;
  model.retry();
  await vi.advanceTimersByTimeAsync(500);
  expect(model.halted).toBeNull();
  expect(model.ids[21_000]).toBeGreaterThan(0);
});
