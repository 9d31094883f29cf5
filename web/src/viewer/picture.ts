/**
 * The picture on a slide: its BlurHash or thumbnail at once, then the preview, and all its pixels when
 * somebody looks closer. Everything that it holds is given back by `destroy`.
 */

import type PhotoSwipe from "photoswipe";
import { ApiError, pause, send } from "../api/client";
import { blurred } from "../timeline/blurred";
import { addressOf, type Tile } from "../timeline/shown";
import { nameOf, type Photo, type PhotoCache } from "./photo";

/**
 * `pending`: it is being prepared. `failed`: it cannot be shown, ever. `gone`: somebody has deleted it.
 * `missed`: no network, or a server that does not answer.
 */
export type Status = "loading" | "shown" | "pending" | "failed" | "gone" | "missed";

type Content = NonNullable<PhotoSwipe["currSlide"]>["content"];

/** The longer side of previews. */
export const PREVIEW = 1440;
/** Milliseconds between two looks whether a preview is there by now, and how many there are. */
const AGAIN = 3_000;
const LOOKS = 100;
/** Milliseconds for a whole original on a slow line. */
const PATIENCE = 15 * 60_000;

export class Picture {
  readonly element = document.createElement("div");
  photo: Photo | null = null;
  status: Status = "loading";
  full: "none" | "loading" | "shown" | "missed" = "none";
  /** The slide's, as long as it is on one. */
  content: Content | null = null;

  private readonly life = new AbortController();
  private closer = new AbortController();
  private preview: HTMLImageElement | null = null;
  private whole: HTMLImageElement | null = null;
  private looks = 0;

  constructor(
    readonly id: number,
    tile: Tile | undefined,
    private readonly cache: PhotoCache,
    /** Something of it has changed. */
    private readonly tell: (picture: Picture) => void,
  ) {
    this.element.className = "picture";
    this.element.setAttribute("role", "img");
    if (tile) this.name(tile.title || tile.filename);
    if (tile?.blurhash) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 32;
      blurred(canvas, tile.blurhash);
      this.element.append(canvas);
    }
    if (tile?.thumbnail) this.element.append(layer(tile.thumbnail));
    if (id > 0) void this.load();
  }

  get quick(): boolean {
    return this.element.childElementCount > 0;
  }

  /** Again, after it was missed, or because it has changed. */
  async load(anew = false): Promise<void> {
    const { signal } = this.life;
    if (this.status !== "shown") this.become(this.looks > 0 ? "pending" : "loading");
    try {
      const photo = await this.cache.get(this.id, anew);
      if (signal.aborted) return;
      this.photo = photo;
      this.name(nameOf(photo));
      this.tell(this);
      if (photo.preview_url !== null) await this.show(photo.preview_url, anew);
      else if (photo.renditions === "pending") await this.wait();
      else this.become("failed");
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 404 && !error.foreign) this.become("gone");
      // What is on the screen stays there.
      else if (this.status !== "shown") this.become("missed");
    }
  }

  /** All pixels there are, if the preview has not got them. */
  async look(): Promise<void> {
    const { photo } = this;
    if (photo === null || this.status !== "shown" || this.full === "loading" || this.full === "shown") return;
    if (!isMoving(photo) && Math.max(photo.width ?? Infinity, photo.height ?? Infinity) <= PREVIEW) return;
    this.closer = new AbortController();
    const { signal } = this.closer;
    this.full = "loading";
    this.tell(this);
    try {
      for (let looks = 0; looks < LOOKS; looks++) {
        const image = await this.fetched("display", signal);
        if (signal.aborted) return forget(image);
        forget(this.whole);
        this.whole = image;
        this.element.append(image);
        // The preview stands in for what is still being made, of a HEIC.
        if (Math.max(image.naturalWidth, image.naturalHeight) > PREVIEW || isMoving(photo)) break;
        await pause(AGAIN, signal);
      }
      this.full = "shown";
    } catch {
      if (signal.aborted) return;
      this.full = "missed";
    }
    this.tell(this);
  }

  /** Nobody looks closer any more: the preview has to do. */
  lookAway(): void {
    this.closer.abort();
    forget(this.whole);
    this.whole = null;
    this.full = "none";
  }

  destroy(): void {
    this.life.abort();
    this.lookAway();
    forget(this.preview);
    this.element.remove();
    this.content = null;
  }

  private async show(url: string, anew: boolean): Promise<void> {
    if (this.preview) return this.become("shown");
    const { signal } = this.life;
    let image: HTMLImageElement;
    try {
      // Where the service streams images, the address is one that wants the token.
      image = url.startsWith("/") ? await this.fetched("preview", signal) : await decoded(layer(url));
    } catch (error) {
      // Its signed address may have ended; a new one is asked for, once.
      if (signal.aborted || anew || url.startsWith("/")) throw error;
      return await this.load(true);
    }
    if (signal.aborted) return forget(image);
    this.preview = image;
    this.element.append(image);
    this.become("shown");
  }

  private async wait(): Promise<void> {
    this.become("pending");
    if (++this.looks > LOOKS) return;
    await pause(AGAIN, this.life.signal);
    await this.load(true);
  }

  private async fetched(size: "display" | "preview", signal: AbortSignal): Promise<HTMLImageElement> {
    const answer = await send("GET", `/photos/${this.id}/image?size=${size}`, { signal, patience: PATIENCE });
    const image = layer(URL.createObjectURL(await answer.blob()));
    try {
      return await decoded(image);
    } catch (error) {
      forget(image);
      throw error;
    }
  }

  private name(text: string): void {
    this.element.setAttribute("aria-label", text);
  }

  private become(status: Status): void {
    this.status = status;
    this.tell(this);
  }
}

/** Previews are of the first frame. */
export function isMoving(photo: Photo): boolean {
  return photo.content_type === "image/gif";
}

function layer(url: string): HTMLImageElement {
  const image = new Image();
  // A click on what has this class zooms.
  image.className = "pswp__img";
  image.alt = "";
  image.decoding = "async";
  image.src = url.startsWith("/photos/") ? addressOf(url) : url;
  return image;
}

async function decoded(image: HTMLImageElement): Promise<HTMLImageElement> {
  await image.decode();
  return image;
}

function forget(image: HTMLImageElement | null): void {
  if (image === null) return;
  image.remove();
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
}
