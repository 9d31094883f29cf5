import { expect, test } from "vitest";
import { bodiesOf, cellsFor, gapAt, indexAt, markOf, moved, othersBefore, placeOf, returning, slotBehind } from "./arrange";

const ids = [11, 12, 13, 14, 15, 16, 17];

test("a drop is told by the photo that stays before it, or else by the first one", () => {
  expect(moved(ids, new Set([16]), 2)).toEqual({ order: [11, 12, 16, 13, 14, 15, 17], ids: [16], place: { after: 12 }, at: 2 });
  expect(moved(ids, new Set([13]), 0)).toMatchObject({ order: [13, 11, 12, 14, 15, 16, 17], place: { before: 11 }, at: 0 });
  expect(moved(ids, new Set([11]), 7)).toMatchObject({ order: [12, 13, 14, 15, 16, 17, 11], place: { after: 17 }, at: 6 });
});

test("several keep their order, and are no neighbours of themselves", () => {
  const move = moved(ids, new Set([17, 12, 14]), 3);
  expect(move).toEqual({ order: [11, 13, 12, 14, 17, 15, 16], ids: [12, 14, 17], place: { after: 13 }, at: 2 });
  expect(moved(ids, new Set([11, 12, 15]), 1)).toMatchObject({ place: { before: 13 }, ids: [11, 12, 15] });
});

test("a drop where they are, of nothing, or of all is none", () => {
  for (const slot of [2, 3]) expect(moved(ids, new Set([13]), slot)).toBeNull();
  for (const slot of [2, 3, 4]) expect(moved(ids, new Set([13, 14]), slot)).toBeNull();
  expect(moved(ids, new Set([99]), 3)).toBeNull();
  expect(moved(ids, new Set(ids), 3)).toBeNull();
});

test("the place in order that the API makes of what is sent is the one that was shown", () => {
  for (const sort of ["position", "-position"] as const)
    for (let slot = 0; slot <= ids.length; slot++)
      for (const chosen of [[11], [17, 12], [13, 14, 16], [11, 12, 13, 14, 15, 16]]) {
        const move = moved(ids, new Set(chosen), slot);
        if (!move) continue;
        let kept = sort === "position" ? [...ids] : [...ids].reverse();
        for (const body of bodiesOf(move, sort, 2)) kept = byTheApi(kept, body);
        expect(sort === "position" ? kept : kept.reverse()).toEqual(move.order);
      }
});

test("photos that were taken out come back to where they were", () => {
  for (const sort of ["position", "-position"] as const)
    for (const taken of [[11], [17], [12, 13, 16], [11, 12, 17], [11, 12, 13, 14, 15, 16]]) {
      const others = (sort === "position" ? [...ids] : [...ids].reverse()).filter((id) => !taken.includes(id));
      let kept = [...others, ...taken];
      for (const run of returning(ids, new Set(taken)))
        for (const body of bodiesOf(run, sort, 2)) kept = byTheApi(kept, body);
      expect(sort === "position" ? kept : kept.reverse()).toEqual(ids);
    }
});

function byTheApi(order: number[], body: { photo_ids: number[]; before?: number; after?: number }): number[] {
  const others = order.filter((id) => !body.photo_ids.includes(id));
  const at = body.after === undefined ? others.indexOf(body.before!) : others.indexOf(body.after) + 1;
  return [...others.slice(0, at), ...body.photo_ids, ...others.slice(at)];
}

test("slots are counted by the photos that stay", () => {
  const chosen = new Set([12, 13]);
  expect([0, 1, 2, 5].map((others) => slotBehind(ids, chosen, others))).toEqual([0, 1, 4, 7]);
  expect([0, 1, 2, 3, 4, 7].map((slot) => othersBefore(ids, chosen, slot))).toEqual([0, 1, 1, 1, 2, 5]);
});

test("the gap is the nearest one, at the end of a row or the begin of the next", () => {
  const cells = { columns: 3, side: 100, gap: 10 };
  expect(gapAt(40, 50, cells, 7)).toEqual({ slot: 0, atEnd: false });
  expect(gapAt(70, 50, cells, 7)).toEqual({ slot: 1, atEnd: true });
  expect(gapAt(320, 50, cells, 7)).toEqual({ slot: 3, atEnd: true });
  expect(gapAt(10, 115, cells, 7)).toEqual({ slot: 3, atEnd: false });
  expect(gapAt(300, 900, cells, 7)).toEqual({ slot: 7, atEnd: true });
  expect(markOf({ slot: 3, atEnd: true }, cells)).toEqual({ x: 325, y: 0 });
  expect(markOf({ slot: 3, atEnd: false }, cells)).toEqual({ x: -5, y: 110 });
});

test("squares fill the width, and each is found at its place", () => {
  for (const width of [320, 599, 1280, 2560]) {
    const cells = cellsFor(width);
    expect(cells.columns * cells.side + (cells.columns - 1) * cells.gap).toBeCloseTo(width);
    for (const index of [0, 1, 5, 30]) {
      const { x, y } = placeOf(index, cells);
      expect(indexAt(x + cells.side / 2, y + cells.side / 2, cells, 31)).toBe(index);
    }
  }
  expect(indexAt(104, 50, { columns: 3, side: 100, gap: 10 }, 7)).toBe(-1);
});
