/** Photos of a list that comes page by page: an album, what a search found, the trash. */

import { onChanged, type Change } from "../photos/changes";
import { Columns } from "./columns";
import type { Measures } from "./geometry";
import type { Shown, State, Tile } from "./shown";
import { Tiles } from "./tiles";

export interface ListPage {
  /** `ratio`: width by height, 0 if it is not known. Photos without a `tile` are asked for theirs. */
  photos: { id: number; ratio: number; tile?: Tile }[];
  next: string | null;
}

export type FetchPage = (cursor: string | null, signal: AbortSignal) => Promise<ListPage>;

export interface ListOptions {
  /** Changes that take a photo out of the list: into the trash, by default, or for good. */
  leaves?: readonly Change["what"][];
  /** Changes after which it is asked anew, beside `restore` and `unknown`. */
  renews?: readonly Change["what"][];
}

const REST = 80;
/** The next page is asked for when so many photos or fewer are behind those in view. */
const AHEAD = 100;
const GATHERED = 700;
/** Milliseconds out of sight, after which another device may have changed something. */
const AWAY = 60_000;

export class ListModel implements Shown {
  version = $state(0);
  state = $state<State>("loading");
  problem: unknown = null;
  /** Whether all of it is known. */
  whole = $state(false);
  /** Why the next page did not come, until it does. */
  halted = $state<unknown>(null);

  private columns = new Columns();
  private tileStore = new Tiles(
    (tiles) => this.came(tiles),
    (ids) => this.remove(ids),
  );
  private given = new Set<number>();
  private next: string | null = null;
  private wanted: [number, number] = [0, 0];
  private timer = 0;
  private gathered = 0;
  private hiddenAt = Date.now();
  private loading: Promise<void> | null = null;
  private ended = new AbortController();

  constructor(
    private readonly fetchPage: FetchPage,
    private readonly options: ListOptions = {},
  ) {}

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
    const deaf = onChanged((change) => this.changed(change));
    document.addEventListener("visibilitychange", () => this.seen(), { signal: this.ended.signal });
    void this.refresh();
    return () => {
      deaf();
      this.ended.abort();
      this.tileStore.stop();
      clearTimeout(this.timer);
      clearTimeout(this.gathered);
    };
  }

  retry(): void {
    this.halted = null;
    if (this.state === "failed") void this.refresh();
    else this.load();
  }

  /** Begins anew, and goes as far as it was known. */
  async refresh(): Promise<void> {
    const far = this.ids.length;
    this.loading = this.renew(far);
    await this.loading.catch(() => undefined);
  }

  layOut(measures: Measures): void {
    this.columns.layOut({ ...measures, heading: 0 });
    this.version++;
  }

  day(index: number): string {
    return this.tiles.get(this.ids[index])?.takenAt.slice(0, 10) ?? "";
  }

  broken(id: number): void {
    this.tileStore.broken(id);
  }

  find(id: number): number {
    return this.columns.ids.indexOf(id);
  }

  want(from: number, to: number): void {
    this.wanted = [from, to];
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.load(), REST);
  }

  async know(_from: number, to: number): Promise<void> {
    while (!this.whole && this.ids.length < to) await this.more();
  }

  /** The next page, also after a failure. */
  async more(): Promise<void> {
    await (this.loading ??= this.append());
  }

  /** Puts photos into another order, as an album's owner has them. */
  reorder(ids: readonly number[]): void {
    const places = new Map(Array.from(this.ids, (id, index) => [id, index]));
    const order = ids.map((id) => places.get(id)!);
    this.put(ids, order.map((index) => this.columns.ratios[index]));
  }

  remove(ids: readonly number[]): void {
    this.columns.remove(new Set(ids));
    this.version++;
  }

  private load(): void {
    const [from, to] = [this.wanted[0], Math.min(this.wanted[1], this.ids.length)];
    const ids = Array.from(this.ids.subarray(from, to)).filter((id) => !this.given.has(id));
    this.tileStore.want(ids);
    if (!this.whole && this.halted === null && this.state === "ready" && to + AHEAD >= this.ids.length)
      void this.more().then(() => this.load(), () => undefined);
  }

  private async renew(far: number): Promise<void> {
    const { signal } = this.ended;
    try {
      let cursor: string | null = null;
      const photos: ListPage["photos"] = [];
      do {
        const page: ListPage = await this.fetchPage(cursor, signal);
        photos.push(...page.photos);
        cursor = page.next;
      } while (cursor !== null && photos.length < far);
      this.given.clear();
      this.put(photos.map((photo) => photo.id), photos.map((photo) => photo.ratio));
      this.take(photos, cursor);
      this.halted = null;
      this.state = "ready";
    } catch (error) {
      if (signal.aborted || this.state === "ready") return;
      this.problem = error;
      this.state = "failed";
    } finally {
      this.loading = null;
      this.load();
    }
  }

  private async append(): Promise<void> {
    const { signal } = this.ended;
    try {
      const page = await this.fetchPage(this.next, signal);
      const known = new Set(this.ids);
      const fresh = page.photos.filter((photo) => !known.has(photo.id));
      this.put(
        [...this.ids, ...fresh.map((photo) => photo.id)],
        [...this.columns.ratios, ...fresh.map((photo) => photo.ratio)],
      );
      this.take(fresh, page.next);
      this.halted = null;
    } catch (error) {
      if (!signal.aborted) this.halted = error;
      throw error;
    } finally {
      this.loading = null;
    }
  }

  private take(photos: ListPage["photos"], next: string | null): void {
    const tiles = photos.flatMap((photo) => (photo.tile ? [photo.tile] : []));
    for (const tile of tiles) this.given.add(tile.id);
    this.tileStore.put(tiles);
    this.next = next;
    this.whole = next === null;
  }

  private put(ids: readonly number[], ratios: readonly number[]): void {
    this.columns.replace([{ month: "", count: ids.length }]);
    if (ids.length > 0) this.columns.put(0, 0, { ids, ratios, days: new Uint8Array(ids.length) });
    this.version++;
  }

  private came(tiles: readonly Tile[]): void {
    let changed = false;
    for (const tile of tiles) {
      const index = tile.width && tile.height ? this.find(tile.id) : -1;
      if (index < 0) continue;
      const ratio = tile.width! / tile.height!;
      if (Math.abs(this.columns.ratios[index] / ratio - 1) < 0.02) continue;
      this.columns.ratios[index] = ratio;
      changed = true;
    }
    if (changed) this.columns.settle(0);
    this.version++;
  }

  private changed({ what, ids }: Change): void {
    const { leaves = ["delete", "purge"], renews = [] } = this.options;
    if (leaves.includes(what)) return this.remove(ids);
    if (what === "favourite" || what === "unfavourite") this.mark(ids, { favourite: what === "favourite" });
    if (what === "archive" || what === "unarchive") this.mark(ids, { archived: what === "archive" });
    if (what === "edited" || what === "unknown") this.tileStore.stale(ids);
    if (what !== "restore" && what !== "unknown" && !renews.includes(what)) return;
    clearTimeout(this.gathered);
    this.gathered = window.setTimeout(() => void this.refresh(), GATHERED);
  }

  private seen(): void {
    if (document.visibilityState === "hidden") this.hiddenAt = Date.now();
    else if (Date.now() - this.hiddenAt > AWAY) void this.refresh();
  }

  private mark(ids: readonly number[], marks: Partial<Tile>): void {
    this.tileStore.put(ids.flatMap((id) => {
      const tile = this.tileStore.known.get(id);
      return tile ? [{ ...tile, ...marks }] : [];
    }));
    this.version++;
  }
}
