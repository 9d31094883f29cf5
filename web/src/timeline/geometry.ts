/**
 * Where every photo of a timeline lies, in typed arrays that nothing reactive looks into.
 *
 * Rows are justified: photos of one month share a row height near `target`, and all rows but a
 * month's last one fill the width. 100,000 photos take a few milliseconds, so a new width computes
 * all of them anew. Pages that are not loaded yet have a guessed ratio, and their place changes
 * once they are.
 */

export interface Section {
  /** "2024-05" */
  month: string;
  count: number;
}

export interface Geometry {
  /** Of each photo, in CSS pixels; `top` from the timeline's begin. */
  left: Float32Array;
  top: Float64Array;
  width: Float32Array;
  height: Float32Array;
  /** Of each section: where its heading is, and its first photo's index. */
  heads: Float64Array;
  firsts: Uint32Array;
  total: number;
}

export interface Measures {
  width: number;
  target: number;
  gap: number;
  heading: number;
}

/** A photo whose page has not come: what most cameras make. */
export const GUESS = 4 / 3;
const NARROWEST = 0.4;
const WIDEST = 4;

export function arrange(sections: readonly Section[], ratios: Float32Array, measures: Measures): Geometry {
  const count = ratios.length;
  const made: Geometry = {
    left: new Float32Array(count),
    top: new Float64Array(count),
    width: new Float32Array(count),
    height: new Float32Array(count),
    heads: new Float64Array(sections.length),
    firsts: new Uint32Array(sections.length + 1),
    total: 0,
  };
  let y = 0;
  let first = 0;
  sections.forEach((section, index) => {
    made.heads[index] = y;
    made.firsts[index] = first;
    y = fill(made, ratios, first, Math.min(first + section.count, count), y + measures.heading, measures);
    first += section.count;
  });
  made.firsts[sections.length] = first;
  made.total = y;
  return made;
}

/** Lays one section out anew, whose ratios have come, and moves what is below it. */
export function rearrange(made: Geometry, index: number, ratios: Float32Array, measures: Measures): void {
  const behind = made.firsts[index + 1];
  const end = index + 1 < made.heads.length ? made.heads[index + 1] : made.total;
  const moved = fill(made, ratios, made.firsts[index], behind, made.heads[index] + measures.heading, measures) - end;
  if (moved === 0) return;
  for (let i = behind; i < made.top.length; i++) made.top[i] += moved;
  for (let i = index + 1; i < made.heads.length; i++) made.heads[i] += moved;
  made.total += moved;
}

/** Lays the photos [from, to) out below `y`; gives where the next section begins. */
function fill(made: Geometry, ratios: Float32Array, from: number, to: number, y: number, m: Measures): number {
  let start = from;
  let sum = 0;
  for (let i = from; i < to; i++) {
    sum += bounded(ratios[i]);
    const inner = m.width - m.gap * (i - start);
    if (sum * m.target < inner && i + 1 < to) continue;
    // A last row keeps the height of the others instead of growing over the whole width.
    const height = sum * m.target < inner ? m.target : inner / sum;
    let x = 0;
    for (let k = start; k <= i; k++) {
      const width = bounded(ratios[k]) * height;
      made.left[k] = x;
      made.top[k] = y;
      made.width[k] = width;
      made.height[k] = height;
      x += width + m.gap;
    }
    y += height + m.gap;
    start = i + 1;
    sum = 0;
  }
  return y;
}

function bounded(ratio: number): number {
  return ratio > 0 ? Math.min(Math.max(ratio, NARROWEST), WIDEST) : GUESS;
}

/** The first photo whose row ends below `y`; `top` grows with the index. */
export function firstBelow(geometry: Geometry, y: number): number {
  let low = 0;
  let high = geometry.top.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (geometry.top[middle] + geometry.height[middle] < y) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The section that holds the photo of this index. */
export function sectionOf(geometry: Geometry, index: number): number {
  let low = 0;
  let high = geometry.firsts.length - 1;
  while (low + 1 < high) {
    const middle = (low + high) >>> 1;
    if (geometry.firsts[middle] <= index) low = middle;
    else high = middle;
  }
  return low;
}

/** The first photo whose row begins at `y` or below. */
export function firstFrom(geometry: Geometry, y: number): number {
  let low = 0;
  let high = geometry.top.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (geometry.top[middle] < y) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The photo above or below this one: of the next row that whose middle is the nearest. */
export function neighbour(geometry: Geometry, index: number, down: boolean): number {
  const { top, left, width } = geometry;
  const step = down ? 1 : -1;
  let at = index;
  while (at >= 0 && at < top.length && top[at] === top[index]) at += step;
  if (at < 0 || at >= top.length) return index;
  const middle = left[index] + width[index] / 2;
  const away = (i: number): number => Math.abs(left[i] + width[i] / 2 - middle);
  let best = at;
  for (let i = at; i >= 0 && i < top.length && top[i] === top[at]; i += step) if (away(i) < away(best)) best = i;
  return best;
}
