/** Where photos lie while they are arranged, and where those go that are dropped between others. */

import type { Sort } from "./albums";

/** Squares of one size: so the place of each is known without its ratio, and a row is a line. */
export interface Cells {
  columns: number;
  /** Of a square, and of what is around it, in CSS pixels. */
  side: number;
  gap: number;
}

const GAP = 8;

export function cellsFor(width: number): Cells {
  const least = width < 600 ? 96 : 150;
  const columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
  return { columns, side: (width - GAP * (columns - 1)) / columns, gap: GAP };
}

export function placeOf(index: number, { columns, side, gap }: Cells): { x: number; y: number } {
  return { x: (index % columns) * (side + gap), y: Math.floor(index / columns) * (side + gap) };
}

export function heightOf(count: number, { columns, side, gap }: Cells): number {
  return Math.ceil(count / columns) * (side + gap);
}

/** The photo at this point, or -1 between them and beyond the last one. */
export function indexAt(x: number, y: number, { columns, side, gap }: Cells, count: number): number {
  const column = Math.floor(x / (side + gap));
  const row = Math.floor(y / (side + gap));
  if (x < 0 || y < 0 || column >= columns || x - column * (side + gap) > side || y - row * (side + gap) > side) return -1;
  const index = row * columns + column;
  return index < count ? index : -1;
}

/** A gap between photos: before the `slot`th one, and whether that is at the end of the row above. */
export interface Gap {
  slot: number;
  atEnd: boolean;
}

/** The gap that is nearest to this point. */
export function gapAt(x: number, y: number, { columns, side, gap }: Cells, count: number): Gap {
  const rows = Math.max(1, Math.ceil(count / columns));
  const row = Math.min(Math.max(Math.floor(y / (side + gap)), 0), rows - 1);
  const column = Math.min(Math.max(Math.round(x / (side + gap)), 0), columns);
  const slot = Math.min(row * columns + column, count);
  return { slot, atEnd: slot > row * columns };
}

/** Where to draw the mark of a gap: its middle, and the top of its row. */
export function markOf({ slot, atEnd }: Gap, cells: Cells): { x: number; y: number } {
  const { side, gap } = cells;
  if (!atEnd || slot === 0) {
    const { x, y } = placeOf(slot, cells);
    return { x: x - gap / 2, y };
  }
  const { x, y } = placeOf(slot - 1, cells);
  return { x: x + side + gap / 2, y };
}

/** As the API takes it: behind a photo, or before one. */
export type Place = { after: number } | { before: number };

export interface Move {
  /** All that are known, in their new order. */
  order: number[];
  /** Those that are moved, in the order in which they were. */
  ids: number[];
  place: Place;
  /** The index of the first of them now. */
  at: number;
}

/**
 * Puts the chosen ones, in their own order, into the gap before the `slot`th of `ids`; null if that
 * changes nothing. The place is told by a neighbour that stays, since the photos behind the last
 * known one are not known here.
 */
export function moved(ids: ArrayLike<number>, chosen: ReadonlySet<number>, slot: number): Move | null {
  const before: number[] = [];
  const behind: number[] = [];
  const taken: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (chosen.has(ids[i])) taken.push(ids[i]);
    else (i < slot ? before : behind).push(ids[i]);
  }
  if (taken.length === 0 || before.length + behind.length === 0) return null;
  const order = [...before, ...taken, ...behind];
  if (order.every((id, index) => id === ids[index])) return null;
  const place = before.length > 0 ? { after: before.at(-1)! } : { before: behind[0] };
  return { order, ids: taken, place, at: before.length };
}

/** The slot that has so many of those before it that are not chosen. */
export function slotBehind(ids: ArrayLike<number>, chosen: ReadonlySet<number>, others: number): number {
  let left = others;
  let slot = 0;
  while (slot < ids.length && left > 0) if (!chosen.has(ids[slot++])) left--;
  return slot;
}

/** How many of those before a slot are not chosen. */
export function othersBefore(ids: ArrayLike<number>, chosen: ReadonlySet<number>, slot: number): number {
  let count = 0;
  for (let i = 0; i < slot && i < ids.length; i++) if (!chosen.has(ids[i])) count++;
  return count;
}

/** What brings photos back that were taken out of this order, once they are at its end: one by run. */
export function returning(ids: ArrayLike<number>, taken: ReadonlySet<number>): Pick<Move, "ids" | "place">[] {
  const runs: Pick<Move, "ids" | "place">[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (!taken.has(ids[i])) continue;
    const from = i;
    while (i + 1 < ids.length && taken.has(ids[i + 1])) i++;
    const run = Array.from({ length: i + 1 - from }, (_, k) => ids[from + k]);
    if (from > 0) runs.push({ ids: run, place: { after: ids[from - 1] } });
    else if (i + 1 < ids.length) runs.push({ ids: run, place: { before: ids[i + 1] } });
  }
  return runs;
}

export interface MoveBody {
  photo_ids: number[];
  after?: number;
  before?: number;
}

/**
 * What to send for a move, in pieces of so many ids at most. The API moves by position; an album that
 * is shown backwards has everything the other way round.
 */
export function bodiesOf({ ids, place }: Pick<Move, "ids" | "place">, sort: Sort, most: number): MoveBody[] {
  const backwards = sort === "-position";
  const inOrder = backwards ? [...ids].reverse() : ids;
  let where: Place = place;
  if (backwards) where = "after" in place ? { before: place.after } : { after: place.before };
  const bodies: MoveBody[] = [];
  for (let at = 0; at < inOrder.length; at += most) {
    const photo_ids = inOrder.slice(at, at + most);
    bodies.push({ photo_ids, ...where });
    // Before the same photo each piece comes behind the ones before it; behind one it would not.
    if ("after" in where) where = { after: photo_ids.at(-1)! };
  }
  return bodies;
}
