/** What tiles show, asked for when they come into view, two hundred at a time. */

import { call } from "../api/client";
import { tileOf, type Tile, type TileAnswer } from "./shown";

const AT_ONCE = 200;
const KEPT = 4_000;
/** Asked for anew so long before an address ends, in milliseconds. */
const AHEAD = 60_000;
/** A thumbnail that is not made yet is asked for again after 2, 4, 8, … seconds, so many times. */
const FIRST_WAIT = 2_000;
const LONGEST_WAIT = 60_000;
const PATIENCE = 12;

interface Batch {
  ids: number[];
  stop: AbortController;
}

export class Tiles {
  readonly known = new Map<number, Tile>();
  private wanted: readonly number[] = [];
  private batches = new Set<Batch>();
  private asking = new Set<number>();
  /** Those that are not there or not made: how often they were asked for, and when they are again: by a clock
   * that nobody puts back. */
  private late = new Map<number, { times: number; at: number }>();
  private timer = 0;

  /** `came` gets what was asked for; `gone` the ids that are nobody's (any more). */
  constructor(
    private readonly came: (tiles: Tile[]) => void,
    private readonly gone: (ids: number[]) => void = () => undefined,
  ) {}

  /** These are in view, and no others: what was asked for others alone is given up. */
  want(ids: readonly number[]): void {
    this.wanted = ids;
    const inView = new Set(ids);
    for (const batch of this.batches) if (!batch.ids.some((id) => inView.has(id))) batch.stop.abort();
    this.ask();
  }

  /** Puts in what a list has brought along. */
  put(tiles: readonly Tile[]): void {
    for (const tile of tiles) {
      this.known.delete(tile.id);
      this.known.set(tile.id, tile);
    }
    // The first of a Map are those that nobody has wanted for the longest time.
    for (const id of this.known.keys()) {
      if (this.known.size <= KEPT) break;
      this.known.delete(id);
    }
  }

  /** An image could not be loaded: its address may have ended, or the network is gone. */
  broken(id: number): void {
    const tile = this.known.get(id);
    if (tile && this.mayWait(id)) tile.until = 0;
    this.ask();
  }

  /** To be asked for anew. */
  stale(ids: Iterable<number>): void {
    for (const id of ids) {
      const tile = this.known.get(id);
      if (tile) tile.until = 0;
      this.late.delete(id);
    }
    this.ask();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.wanted = [];
    for (const batch of this.batches) batch.stop.abort();
  }

  private ask(): void {
    const now = performance.now();
    const missing: number[] = [];
    let next = Infinity;
    for (const id of this.wanted) {
      const tile = this.known.get(id);
      if (tile) {
        this.known.delete(id);
        this.known.set(id, tile);
      }
      const late = this.late.get(id);
      const lacking = !tile || tile.until - AHEAD < Date.now() || late !== undefined;
      if (!lacking || this.asking.has(id)) continue;
      if (late && (late.times > PATIENCE || late.at > now)) {
        if (late.times <= PATIENCE) next = Math.min(next, late.at);
      } else missing.push(id);
    }
    for (let i = 0; i < missing.length; i += AT_ONCE) void this.load(missing.slice(i, i + AT_ONCE));
    clearTimeout(this.timer);
    if (next < Infinity) this.timer = window.setTimeout(() => this.ask(), Math.max(next - now, 50));
  }

  private async load(ids: number[]): Promise<void> {
    const batch: Batch = { ids, stop: new AbortController() };
    this.batches.add(batch);
    for (const id of ids) this.asking.add(id);
    let failed = false;
    try {
      const body = { photo_ids: ids };
      const { tiles } = await call<{ tiles: TileAnswer[] }>("POST", "/photos/tiles", { body, signal: batch.stop.signal });
      this.take(ids, tiles.map((answer) => tileOf(answer)));
    } catch {
      failed = !batch.stop.signal.aborted;
      if (failed) for (const id of ids) this.mayWait(id, PATIENCE);
    } finally {
      this.batches.delete(batch);
      for (const id of ids) this.asking.delete(id);
    }
    // Sets the time for those that have to wait, and finds what came into view again meanwhile.
    this.ask();
  }

  private take(ids: number[], tiles: Tile[]): void {
    const left = new Set(ids);
    for (const tile of tiles) {
      left.delete(tile.id);
      if (tile.renditions === "pending") this.mayWait(tile.id);
      else this.late.delete(tile.id);
    }
    this.put(tiles);
    for (const id of left) this.late.set(id, { times: Infinity, at: Infinity });
    if (tiles.length > 0) this.came(tiles);
    if (left.size > 0) this.gone([...left]);
  }

  /** Has it asked for again later; false if that has been done often enough. Without an answer it never is. */
  private mayWait(id: number, most = Infinity): boolean {
    const times = Math.min((this.late.get(id)?.times ?? 0) + 1, most);
    this.late.set(id, { times, at: performance.now() + Math.min(FIRST_WAIT * 2 ** (times - 1), LONGEST_WAIT) });
    return times <= PATIENCE;
  }
}
