/**
 * The photos of a timeline: months with counts at once, their ids and ratios once they come into view,
 * and what a tile shows for those on the screen. The big arrays are plain; `version` alone is reactive.
 */

import { call } from "../api/client";
import { onChanged, type Change } from "../photos/changes";
import { Columns } from "./columns";
import type { Measures } from "./geometry";
import { monthFrom, unknownMonth, type Month } from "./months";
import type { Shown, State, Tile } from "./shown";
import { Tiles } from "./tiles";

interface Months {
  months: { month: string; photos: number }[];
}

const REST = 80;
const MONTHS_AT_ONCE = 4;
const FIRST_WAIT = 2_000;
const LONGEST_WAIT = 60_000;
/** Changes that come one after the other are looked up together. */
const GATHERED = 700;
/** Away for so long, and whatever is in view is asked for anew: another device may have changed it. */
const AWAY = 60_000;

export class TimelineModel implements Shown {
  version = $state(0);
  state = $state<State>("loading");
  problem: unknown = null;
  halted = $state.raw<unknown>(null);

  private columns = new Columns();
  private months = new Map<string, Month>();
  private tileStore = new Tiles(
    (tiles) => this.came(tiles),
    (ids) => this.takeOut(ids),
  );
  private wanted: [number, number] = [0, 0];
  private wantedAt = 0;
  private timer = 0;
  private later = 0;
  private gathered = 0;
  private hiddenAt = 0;
  private refreshing: Promise<void> | null = null;
  private again: Promise<void> | null = null;
  private ended = new AbortController();

  constructor(private readonly query: { archived?: boolean } = {}) {}

  get sections() {
    return this.columns.sections;
  }
  get ids() {
    return this.columns.ids;
  }
  get geometry() {
    return this.columns.geometry;
  }
  get tiles(): ReadonlyMap<number, Tile> {
    return this.tileStore.known;
  }

  start(): () => void {
    this.ended = new AbortController();
    const { signal } = this.ended;
    const deaf = onChanged((change) => this.changed(change));
    document.addEventListener("visibilitychange", () => this.seen(), { signal });
    addEventListener("online", () => void this.refresh(), { signal });
    void this.refresh();
    return () => {
      deaf();
      this.ended.abort();
      this.tileStore.stop();
      for (const month of this.months.values()) month.stop?.abort();
      for (const timer of [this.timer, this.later, this.gathered]) clearTimeout(timer);
    };
  }

  layOut(measures: Measures): void {
    this.columns.layOut(measures);
    this.version++;
  }

  day(index: number): string {
    return this.columns.day(index);
  }

  broken(id: number): void {
    this.tileStore.broken(id);
  }

  find(id: number): number {
    return this.columns.ids.indexOf(id);
  }

  want(from: number, to: number): void {
    this.wanted = [from, to];
    const now = performance.now();
    const rest = now - this.wantedAt > 4 * REST ? 0 : REST;
    this.wantedAt = now;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.load(), rest);
  }

  async know(from: number, to: number): Promise<void> {
    if (from >= to || this.sections.length === 0) return;
    const end = Math.min(to, this.ids.length);
    const last = this.columns.sectionOf(end - 1);
    for (let index = this.columns.sectionOf(from); index <= last && index < this.sections.length; index++) {
      const { month } = this.sections[index];
      while (this.lacks(month, from, end)) {
        this.months.get(month)!.needed = true;
        const problem = await this.loadMonth(month);
        if (problem !== null) throw problem;
      }
    }
  }

  retry(): void {
    this.halted = null;
    for (const month of this.months.values()) month.notBefore = 0;
    if (this.state === "failed") this.state = "loading";
    void this.refresh();
  }

  refresh(): Promise<void> {
    // What is under way may not see what has just been changed.
    if (this.refreshing) return (this.again ??= this.refreshing.then(() => this.refresh()));
    this.again = null;
    return (this.refreshing = this.askMonths().finally(() => (this.refreshing = null)));
  }

  private async askMonths(): Promise<void> {
    try {
      const query = this.query.archived ? "?archived=true" : "";
      const { months } = await call<Months>("GET", `/timeline${query}`, { signal: this.ended.signal });
      this.takeMonths(months);
      this.state = "ready";
    } catch (error) {
      if (this.ended.signal.aborted || this.state === "ready") return;
      this.problem = error;
      this.state = "failed";
    }
  }

  private takeMonths(told: Months["months"]): void {
    const before = new Map(this.sections.map((section) => [section.month, section.count]));
    const months = new Map<string, Month>();
    const sections = told.map(({ month, photos }) => {
      const known = this.months.get(month) ?? unknownMonth(photos);
      if (known.told !== photos) {
        Object.assign(known, { told: photos, stale: known.known > 0, whole: false });
        known.doubts++;
      }
      months.set(month, known);
      // What is known of a month stays on the screen until all that is new of it has come.
      return { month, count: known.stale ? (before.get(month) ?? photos) : Math.max(photos, known.known) };
    });
    for (const [month, known] of this.months) if (!months.has(month)) known.stop?.abort();
    this.months = months;
    this.columns.replace(sections);
    this.version++;
    this.load();
  }

  /** Whether ids of [from, to) that are of this month are not known. */
  private lacks(name: string, from: number, to: number): boolean {
    const month = this.months.get(name);
    const index = this.sections.findIndex((section) => section.month === name);
    if (!month || index < 0) return false;
    const end = Math.min(to, this.columns.firsts[index + 1]) - this.columns.firsts[index];
    return month.stale || (!month.whole && month.known < end && from < this.columns.firsts[index + 1]);
  }

  /** Asks for what the photos in view lack, and gives up what was flown over. */
  private load(): void {
    clearTimeout(this.later);
    if (this.ended.signal.aborted) return;
    const [from, to] = [this.wanted[0], Math.min(this.wanted[1], this.ids.length)];
    if (from >= to) return;
    const first = this.columns.sectionOf(from);
    const last = this.columns.sectionOf(to - 1);
    const inView = new Set(this.sections.slice(first, last + 1).map((section) => section.month));
    let running = 0;
    for (const [name, month] of this.months) {
      if (month.loading && !month.needed && !inView.has(name)) month.stop?.abort();
      if (month.loading) running++;
    }
    let next = Infinity;
    for (const name of inView) {
      const month = this.months.get(name)!;
      if (month.loading || !this.lacks(name, from, to)) continue;
      if (month.notBefore > performance.now()) next = Math.min(next, month.notBefore);
      else if (running++ < MONTHS_AT_ONCE) void this.loadMonth(name).then(() => this.load());
    }
    if (next < Infinity) this.later = window.setTimeout(() => this.load(), next - performance.now());
    this.tileStore.want(Array.from(this.ids.subarray(from, to)).filter((id) => id > 0));
  }

  /** One page more of a month, or all that was known of it if that has changed. Gives what went wrong. */
  private loadMonth(name: string): Promise<unknown> {
    const month = this.months.get(name)!;
    month.loading ??= this.askMonth(name, month).finally(() => {
      month.loading = null;
      month.needed = false;
    });
    return month.loading;
  }

  private async askMonth(name: string, month: Month): Promise<unknown> {
    month.stop = new AbortController();
    const signal = AbortSignal.any([month.stop.signal, this.ended.signal]);
    const { stale: anew, doubts } = month;
    const archived = this.query.archived ?? false;
    try {
      const page = await monthFrom(name, archived, anew ? month.known : 1, anew ? null : month.next, signal);
      const index = this.sections.findIndex((section) => section.month === name);
      if (index < 0 || this.months.get(name) !== month) return null;
      const at = anew ? 0 : month.known;
      const known = at + page.ids.length;
      const whole = page.next === null;
      this.columns.resize(index, whole ? known : Math.max(known, month.told));
      this.columns.put(index, at, page);
      Object.assign(month, { known, whole, next: page.next, failures: 0, stale: month.doubts !== doubts });
      if (whole && !month.stale) month.told = known;
      this.halted = null;
      if (anew) this.tileStore.stale(Array.from(page.ids));
      this.version++;
      return null;
    } catch (error) {
      if (signal.aborted) return error;
      month.notBefore = performance.now() + Math.min(FIRST_WAIT * 2 ** month.failures++, LONGEST_WAIT);
      return (this.halted = error);
    }
  }

  /** Tiles have come; of photos that had no size before, it is known now. */
  private came(tiles: readonly Tile[]): void {
    const [from, to] = this.wanted;
    const sized = new Map(tiles.filter((tile) => tile.width && tile.height).map((tile) => [tile.id, tile]));
    const unsettled = new Set<number>();
    for (let i = from; i < Math.min(to, this.ids.length); i++) {
      const tile = sized.get(this.ids[i]);
      if (!tile) continue;
      const ratio = tile.width! / tile.height!;
      if (Math.abs(this.columns.ratios[i] / ratio - 1) < 0.02) continue;
      this.columns.ratios[i] = ratio;
      unsettled.add(this.columns.sectionOf(i));
    }
    for (const section of unsettled) this.columns.settle(section);
    this.version++;
  }

  private changed({ what, ids }: Change): void {
    const leaves = this.query.archived ? "unarchive" : "archive";
    if (what === "delete" || what === "purge" || what === leaves) return this.takeOut(ids);
    if (what === "move") return;
    if (what === "favourite" || what === "unfavourite") return this.mark(ids, what === "favourite");
    this.tileStore.stale(ids);
    // A date may have changed within its month, which the months' counts do not show.
    if (what === "edited" || what === "unknown") for (const id of ids) this.doubt(this.find(id));
    clearTimeout(this.gathered);
    this.gathered = window.setTimeout(() => void this.refresh(), GATHERED);
  }

  private doubt(index: number): void {
    if (index < 0) return;
    const month = this.months.get(this.sections[this.columns.sectionOf(index)].month);
    if (!month) return;
    month.stale = true;
    month.doubts++;
  }

  private mark(ids: readonly number[], favourite: boolean): void {
    this.tileStore.put(ids.flatMap((id) => {
      const tile = this.tileStore.known.get(id);
      return tile ? [{ ...tile, favourite }] : [];
    }));
    this.version++;
  }

  private takeOut(ids: readonly number[]): void {
    const names = this.sections.map((section) => section.month);
    const taken = this.columns.remove(new Set(ids));
    taken.forEach((count, index) => {
      const month = this.months.get(names[index]);
      if (!month || count === 0) return;
      month.told -= count;
      month.known -= count;
      month.doubts++;
    });
    const left = this.sections.filter((section) => section.count > 0);
    if (left.length < this.sections.length) this.columns.replace(left);
    this.version++;
  }

  /** The page is looked at again: what is in view may have changed on another device. */
  private seen(): void {
    if (document.visibilityState === "hidden") {
      this.hiddenAt = Date.now();
      return;
    }
    if (Date.now() - this.hiddenAt > AWAY)
      for (let index = this.wanted[0]; index < this.wanted[1]; index++) if (this.ids[index] > 0) this.doubt(index);
    void this.refresh();
  }
}
