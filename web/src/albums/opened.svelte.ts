/** One album with its photos, and what its owner does to it. */

import { ApiError, call, pause, Unreachable } from "../api/client";
import { bulk, onChanged } from "../photos/changes";
import { ListModel, type ListPage } from "../timeline/list.svelte";
import { AT_ONCE, changeAlbum, type Album, type AlbumChange } from "./albums";
import { bodiesOf, returning, type Move, type MoveBody } from "./arrange";

interface Answer extends Album {
  photos: { id: number; width: number | null; height: number | null }[];
  next: string | null;
}

type Body = MoveBody | { photo_ids: number[]; to: "start" | "end" };

/** Photos a page, until so many are there: whoever has come that far gets more at once. */
const PAGE = 100;
const FAR = 500;
const MOST_RUNS = 20;
/** Milliseconds. */
const AGAIN = 4_000;

export class OpenAlbum {
  album = $state.raw<Album | null>(null);
  /** Movements that nobody has answered for so long that it is worth a word; they are sent again. */
  stuck = $state(false);
  readonly model: ListModel;

  private moves: Promise<void> = Promise.resolve();
  /** Movements of an order that turned out to be another one are not sent. */
  private order = 0;
  private left = new AbortController();

  /** `failed` is told why photos could not be moved; they are put right by then. */
  constructor(
    readonly id: number,
    private readonly failed: (error: unknown) => void,
  ) {
    this.model = new ListModel((cursor, signal) => this.page(cursor, signal), { renews: ["move", "uploaded"] });
  }

  start(): () => void {
    this.left = new AbortController();
    const stop = this.model.start();
    const deaf = onChanged(({ what }) => {
      if (what === "delete" || what === "purge") void this.ask();
    });
    return () => {
      deaf();
      stop();
      this.left.abort();
    };
  }

  /** How many photos there are: those that are known, once all are. */
  get count(): number {
    void this.model.version;
    return this.model.whole ? this.model.ids.length : (this.album?.photo_count ?? 0);
  }

  /** Throws what the client throws; the album is as it was then. */
  async change(change: AlbumChange): Promise<void> {
    const before = this.album;
    const album = await changeAlbum(this.id, change);
    this.album = { ...before, ...album };
    if (change.cover_photo_id !== undefined) await this.ask();
    if (change.sort !== undefined) await this.model.refresh();
  }

  /** Takes photos out of the album; they stay in the gallery. Gives what brings them back. */
  async remove(ids: readonly number[]): Promise<() => Promise<void>> {
    const { sort } = this.album!;
    const runs = sort.endsWith("taken") ? [] : returning(this.model.ids, new Set(ids));
    this.model.remove(ids);
    try {
      for (let at = 0; at < ids.length; at += AT_ONCE) {
        const body = { photo_ids: ids.slice(at, at + AT_ONCE) };
        await call("DELETE", `/albums/${this.id}/photos`, { body });
      }
    } catch (error) {
      await this.model.refresh();
      throw error;
    }
    await this.ask();
    return async () => {
      await bulk("move", ids, { album_id: this.id });
      // Each to its place, as long as that is not a request for every single one of many.
      if (runs.length <= MOST_RUNS) for (const run of runs) this.send(bodiesOf(run, sort, AT_ONCE));
      await this.model.refresh();
    };
  }

  /** Shown at once, and sent behind the movements before it. */
  move(move: Move): void {
    const sort = this.album!.sort;
    this.model.reorder(move.order);
    this.send(bodiesOf(move, sort, AT_ONCE));
  }

  /** Behind all others; what is not known yet stays before them, and shows them when it comes. */
  moveToEnd(chosen: ReadonlySet<number>): void {
    const { ids, whole } = this.model;
    const known = Array.from(ids);
    const taken = known.filter((id) => chosen.has(id));
    const others = known.filter((id) => !chosen.has(id));
    this.model.reorder(whole ? [...others, ...taken] : others);
    const backwards = this.album!.sort === "-position";
    // Pieces that are put at the end come behind each other, those at the start before.
    const pieces = [];
    for (let at = 0; at < taken.length; at += AT_ONCE) pieces.push(taken.slice(at, at + AT_ONCE));
    this.send(
      pieces.map((piece): Body => ({
        photo_ids: backwards ? [...piece].reverse() : piece,
        to: backwards ? "start" : "end",
      })),
    );
  }

  private send(bodies: readonly Body[]): void {
    const order = this.order;
    this.moves = this.moves.then(async () => {
      try {
        if (order !== this.order) return;
        for (const body of bodies) await this.deliver(body);
      } catch (error) {
        this.order++;
        this.failed(error);
        // Not waited for: the page behind it waits for this.
        void this.model.refresh();
      }
    });
  }

  /** Until there is an answer, for as long as somebody looks at the album. Once more does no harm. */
  private async deliver(body: Body): Promise<void> {
    for (;;) {
      try {
        await call("POST", `/albums/${this.id}/photos/move`, { body });
        this.stuck = false;
        return;
      } catch (error) {
        this.stuck = passing(error) && !this.left.signal.aborted;
        if (!this.stuck) throw error;
        await pause(AGAIN, this.left.signal).catch(() => undefined);
      }
    }
  }

  private async page(cursor: string | null, signal: AbortSignal): Promise<ListPage> {
    // What is asked for before the movements are done would show the order before them.
    if (cursor === null) await this.moves;
    const far = this.model.ids.length >= FAR;
    const query = new URLSearchParams(far ? {} : { limit: String(PAGE) });
    if (cursor !== null) query.set("cursor", cursor);
    else query.set("covers", "true");
    try {
      const { photos, next, ...album } = await call<Answer>("GET", `/albums/${this.id}?${query}`, { signal });
      this.album = { ...this.album, ...album };
      return { photos: photos.map(({ id, width, height }) => ({ id, ratio: width && height ? width / height : 0 })), next };
    } catch (error) {
      // A cursor of an order that the album had until now: begun anew, as far as it was known.
      if (cursor !== null && error instanceof ApiError && error.status === 400) void this.model.refresh();
      throw error;
    }
  }

  /** Number, name and cover as they are now; what there was stays where no answer comes. */
  private async ask(): Promise<void> {
    try {
      const { photos: _photos, next: _next, ...album } = await call<Answer>("GET", `/albums/${this.id}?limit=0&covers=true`);
      this.album = album;
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof Unreachable)) throw error;
    }
  }
}

/** What says nothing about the album itself. */
function passing(error: unknown): boolean {
  return error instanceof Unreachable || (error instanceof ApiError && [429, 502, 503, 504].includes(error.status));
}
