/** The queue of whoever is signed in, and what the page does about it. Loaded when it is wanted. */

import { onChange, whose } from "../api/session";
import { changed } from "../photos/changes";
import { Hasher } from "./hashing";
import { KeptUploads } from "./kept";
import type { Picks } from "./picked";
import { UploadQueue } from "./queue";
import { openTab } from "./tabs";
import { transportOf } from "./transport";

/** Milliseconds in which photos that are uploaded are gathered, before views are told. */
const GATHERED = 700;
/** Milliseconds after which a page that was just left is surely gone. */
const SURELY_GONE = 4_000;

class Uploads {
  /** Another number when something is another; the queue itself is not reactive. */
  version = $state(0);
  queue = $state.raw<UploadQueue | null>(null);
  folded = $state(false);

  private readonly kept = new KeptUploads();
  private readonly tabs = openTab();
  private uploaded: number[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private warns = false;

  constructor() {
    onChange(() => this.follow());
    addEventListener("online", () => this.queue?.release("offline"));
    addEventListener("offline", () => this.queue?.hold("offline"));
    addEventListener("pagehide", () => void this.kept.flush());
    this.follow();
  }

  add(picks: Picks, albumId: number | null): void {
    this.folded = false;
    void this.queue?.add(picks, albumId);
  }

  /** What is not through yet. */
  get unfinished(): number {
    return this.queue?.tally.ahead ?? 0;
  }

  /** Somebody who signs in again finds their files as they were; somebody else finds none of them. */
  private follow(): void {
    const account = whose();
    if (account === "") this.queue?.hold("account");
    else if (account === this.queue?.account) this.queue.release("account");
    else this.open(account);
  }

  private open(account: string): void {
    this.queue?.close();
    this.tellUploaded();
    const parts = { transport: transportOf(account), hasher: new Hasher(), kept: this.kept, tabs: this.tabs };
    const queue = new UploadQueue(account, parts);
    queue.onChange = () => this.changed(queue);
    queue.onUploaded = (photoId) => this.gather(photoId);
    if (!navigator.onLine) queue.hold("offline");
    this.queue = queue;
    void queue.restore();
    setTimeout(() => this.queue === queue && void queue.restore(), SURELY_GONE);
  }

  private changed(queue: UploadQueue): void {
    if (queue !== this.queue) return;
    this.version++;
    if (queue.busy === this.warns) return;
    // No page that just listens for this is kept by the browser for the way back.
    this.warns = queue.busy;
    if (this.warns) addEventListener("beforeunload", warn);
    else removeEventListener("beforeunload", warn);
  }

  private gather(photoId: number): void {
    this.uploaded.push(photoId);
    this.timer ??= setTimeout(() => this.tellUploaded(), GATHERED);
  }

  private tellUploaded(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    changed("uploaded", this.uploaded);
    this.uploaded = [];
  }
}

function warn(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

export const uploads = new Uploads();
