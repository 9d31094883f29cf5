/**
 * The photos of a timeline: months with counts at once, their ids and ratios once they come into view,
 * and what a tile shows for those on the screen. The big arrays are plain; `version` alone is reactive.
 */

import { call } from "../api/client";
import { GUESS, arrange, sectionOf, type Geometry, type Measures, type Section } from "./geometry";

export interface Tile {
  id: number;
  thumbnail: string | null;
  blurhash: string | null;
  title: string;
  favourite: boolean;
  /** When it was asked for; signed URLs end after some minutes. */
  at: number;
}

interface Months {
  months: { month: string; count: number }[];
}
interface MonthPage {
  ids: number[];
  ratios: number[];
  days: number[];
  next: string | null;
}
interface Tiles {
  tiles: { id: number; thumbnail_url: string | null; blurhash: string | null; title: string | null; favourite: boolean }[];
}

const TILES_AT_ONCE = 200;
const TILES_KEPT = 4_000;
const TILE_AGE = 10 * 60_000;
const REST = 80;

export class TimelineModel {
  sections: Section[] = [];
  ids = new Float64Array(0);
  ratios = new Float32Array(0);
  days = new Uint8Array(0);
  geometry: Geometry | null = null;
  tiles = new Map<number, Tile>();
  /** Grows with every change that a view has to see. */
  version = $state(0);
  loaded = $state(false);

  private measures: Measures | null = null;
  private asked = new Set<string>();
  private firsts: number[] = [];
  private wanted: number[] = [];
  private timer = 0;

  constructor(private readonly query = "") {}

  async open(signal?: AbortSignal): Promise<void> {
    const { months } = await call<Months>("GET", `/timeline${this.query}`, { signal });
    this.sections = months;
    this.firsts = [];
    let total = 0;
    for (const { count } of months) {
      this.firsts.push(total);
      total += count;
    }
    this.ids = new Float64Array(total);
    this.ratios = new Float32Array(total).fill(GUESS);
    this.days = new Uint8Array(total);
    this.asked.clear();
    this.layOut(this.measures);
    this.loaded = true;
  }

  layOut(measures: Measures | null): void {
    this.measures = measures;
    if (measures === null) return;
    this.geometry = arrange(this.sections, this.ratios, measures);
    this.version++;
  }

  /** Asks for what the photos [from, to) need, once scrolling rests. */
  want(from: number, to: number): void {
    this.wanted = [from, to];
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.load(), REST);
  }

  private async load(): Promise<void> {
    const [from, to] = this.wanted as [number, number];
    if (this.geometry === null || from >= to) return;
    const first = sectionOf(this.geometry, from);
    const last = sectionOf(this.geometry, to - 1);
    for (let section = first; section <= last; section++) void this.loadMonth(section);
    await this.loadTiles(from, to);
  }

  private async loadMonth(index: number): Promise<void> {
    const { month, count } = this.sections[index];
    if (count === 0 || this.asked.has(month)) return;
    this.asked.add(month);
    try {
      let at = this.firsts[index];
      const end = at + count;
      let cursor: string | null = null;
      do {
        const page: MonthPage = await call("GET", `/timeline/${month}${join(this.query, cursor)}`);
        for (let i = 0; i < page.ids.length && at < end; i++, at++) {
          this.ids[at] = page.ids[i];
          this.ratios[at] = page.ratios[i];
          this.days[at] = page.days[i];
        }
        cursor = page.next;
      } while (cursor !== null && at < end);
      this.layOut(this.measures);
      const [from, to] = this.wanted as [number, number];
      void this.loadTiles(from, to);
    } catch {
      // Asked again when it comes into view again.
      this.asked.delete(month);
    }
  }

  private async loadTiles(from: number, to: number): Promise<void> {
    const now = Date.now();
    const missing: number[] = [];
    for (let i = from; i < to; i++) {
      const id = this.ids[i];
      const known = this.tiles.get(id);
      if (id > 0 && (!known || now - known.at > TILE_AGE)) missing.push(id);
    }
    for (let i = 0; i < missing.length; i += TILES_AT_ONCE) {
      const ids = missing.slice(i, i + TILES_AT_ONCE);
      try {
        const { tiles } = await call<Tiles>("POST", "/photos/tiles", { body: { ids } });
        for (const tile of tiles) {
          this.tiles.set(tile.id, {
            id: tile.id,
            thumbnail: tile.thumbnail_url,
            blurhash: tile.blurhash,
            title: tile.title ?? "",
            favourite: tile.favourite,
            at: now,
          });
        }
        this.forget();
        this.version++;
      } catch {
        return;
      }
    }
  }

  private forget(): void {
    for (const id of this.tiles.keys()) {
      if (this.tiles.size <= TILES_KEPT) return;
      this.tiles.delete(id);
    }
  }
}

function join(query: string, cursor: string | null): string {
  if (cursor === null) return query;
  return `${query ? `${query}&` : "?"}cursor=${encodeURIComponent(cursor)}`;
}
