/** The caller's albums, newest first, page by page until all are there. */

import { albumPage, type Album } from "./albums";

interface Loaded {
  cursor: string | null;
  ids: number[];
  at: number;
  /** Albums whose covers did not load. */
  broken: Set<number>;
}

/** Milliseconds from one time that a page is asked for to the next, where covers do not load. */
const AGAIN = 60_000;
/** Within which covers of the same page that do not load are one case. */
const GATHERED = 500;

export class AlbumList {
  /** By pages of the API, so that a list of thousands is not looked into by anything reactive. */
  albums = $state.raw<readonly Album[]>([]);
  state = $state<"loading" | "partly" | "whole" | "failed">("loading");
  failure = $state.raw<unknown>(null);

  private pages: Loaded[] = [];
  private next: string | null = null;
  private running: Promise<void> | null = null;

  constructor(private readonly signal: AbortSignal) {}

  /** The following page, or the one that failed. One at a time: who asks meanwhile gets the same. */
  more(): Promise<void> {
    if (this.state === "whole") return Promise.resolve();
    return (this.running ??= this.load().finally(() => (this.running = null)));
  }

  /** All that is left. */
  async all(): Promise<void> {
    do await this.more();
    while (this.state === "partly" && !this.signal.aborted);
  }

  /** A cover did not load: its page is asked for again, soon, or a while after the last time. */
  coverFailed(albumId: number): void {
    const page = this.pages.find(({ ids }) => ids.includes(albumId));
    if (!page) return;
    page.broken.add(albumId);
    if (page.broken.size > 1) return;
    const wait = Math.max(page.at + AGAIN - Date.now(), GATHERED);
    const timer = setTimeout(() => void this.askAgain(page), wait);
    this.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  /** One that was just made, or that has changed. */
  put(album: Album): void {
    const known = this.albums.some(({ id }) => id === album.id);
    if (known) this.albums = this.albums.map((each) => (each.id === album.id ? { ...each, ...album } : each));
    else this.albums = [album, ...this.albums];
  }

  private async askAgain(page: Loaded): Promise<void> {
    page.at = Date.now();
    const { broken } = page;
    page.broken = new Set();
    try {
      const { albums } = await albumPage(page.cursor, this.signal);
      const fresh = new Map(albums.map((album) => [album.id, album]));
      // An image that did load stays as it is, under an address that has ended or not.
      this.albums = this.albums.map((album) => (broken.has(album.id) && fresh.get(album.id)) || album);
    } catch {
      // The BlurHash stays in its place.
    }
  }

  private async load(): Promise<void> {
    this.state = "loading";
    const cursor = this.next;
    try {
      const { albums, next } = await albumPage(cursor, this.signal);
      this.pages.push({ cursor, ids: albums.map(({ id }) => id), at: Date.now(), broken: new Set() });
      const known = new Set(this.albums.map(({ id }) => id));
      this.albums = [...this.albums, ...albums.filter(({ id }) => !known.has(id))];
      this.next = next;
      this.state = next === null ? "whole" : "partly";
    } catch (error) {
      if (this.signal.aborted) return;
      this.failure = error;
      this.state = "failed";
    }
  }
}
