/** What a grid shows and the viewer walks through: photos in an order, more of which may come. */

import type { Geometry, Measures, Section } from "./geometry";

/** What is shown of a photo before anybody opens it. */
export interface Tile {
  id: number;
  /** For an `<img>`; null until there is one, and where none can be made. */
  thumbnail: string | null;
  blurhash: string | null;
  title: string;
  filename: string;
  type: string;
  width: number | null;
  height: number | null;
  /** "2024-05-12T15:30:00", by the clock on the wall there. */
  takenAt: string;
  favourite: boolean;
  archived: boolean;
  renditions: "pending" | "ready" | "partial" | "failed";
  /** Until when the thumbnail's address works, in milliseconds since the epoch. */
  until: number;
}

export type State = "loading" | "ready" | "failed";

/**
 * Photos are named by their index. `ids[index]` is 0 as long as it is not known which photo is there.
 * None of the big things is reactive: whoever shows them reads `version` first.
 */
export interface Shown {
  readonly sections: readonly Section[];
  readonly ids: Float64Array;
  /** By id; of those that were wanted, the latest few thousand. */
  readonly tiles: ReadonlyMap<number, Tile>;
  readonly geometry: Geometry | null;
  /** Grows with every change that a view has to see. */
  readonly version: number;
  readonly state: State;
  /** Why it could not be loaded, where `state` is "failed". */
  readonly problem: unknown;
  /** Why something more could not be loaded, until it is; null: nothing lacks. */
  readonly halted: unknown;

  /** Begins to load, and to follow changes; gives what ends that: `$effect(() => model.start())`. */
  start(): () => void;
  /** Asks at once for what has failed before. */
  retry(): void;
  /** Asks anew for what there is; what is on the screen stays until the answer. */
  refresh(): Promise<void>;
  layOut(measures: Measures): void;
  /** Says that the photos [from, to) are looked at: what they lack is asked for, once that rests. */
  want(from: number, to: number): void;
  /** Resolves when the ids of [from, to) are known, as far as there are such photos; rejects as the client does. */
  know(from: number, to: number): Promise<void>;
  /** The index of a photo, or -1. */
  find(id: number): number;
  /** Says that a thumbnail could not be loaded. */
  broken(id: number): void;
  /** The day it was taken, as far as it is known: "2024-05-12", "2024-05" or "". */
  day(index: number): string;
}

/** A tile as the API gives it. */
export interface TileAnswer {
  id: number;
  title: string | null;
  original_filename: string;
  content_type: string;
  width: number | null;
  height: number | null;
  blurhash: string | null;
  sort_at: string;
  favourite: boolean;
  archived: boolean;
  renditions: Tile["renditions"];
  thumbnail_url: string | null;
}

export function tileOf(answer: TileAnswer, now = Date.now()): Tile {
  return {
    id: answer.id,
    thumbnail: answer.thumbnail_url === null ? null : addressOf(answer.thumbnail_url),
    blurhash: answer.blurhash,
    title: answer.title ?? "",
    filename: answer.original_filename,
    type: answer.content_type,
    width: answer.width,
    height: answer.height,
    takenAt: answer.sort_at,
    favourite: answer.favourite,
    archived: answer.archived,
    renditions: answer.renditions,
    until: answer.thumbnail_url === null ? Infinity : Math.max(endOf(answer.thumbnail_url, now), now + LEAST),
  };
}

/** An address of the API's answers, which may be relative to its base. */
export function addressOf(url: string): string {
  return url.startsWith("/") ? `/api${url}` : url;
}

/** What has just come lasts as long, whatever this machine's clock says: where that is hours ahead, all
 * addresses seem to have ended, and would be asked for again at once and for ever. */
const LEAST = 2 * 60_000;

/** Taken where an address does not say when it ends. */
const UNTOLD = 5 * 60_000;

/** When a signed address ends, in milliseconds: by S3's, the CDN's or our own parameters. */
export function endOf(url: string, now: number): number {
  const query = new URL(url, location.origin).searchParams;
  const signed = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(query.get("X-Amz-Date") ?? "");
  if (signed) {
    const [year, month, day, hour, minute, second] = signed.slice(1).map(Number);
    return Date.UTC(year, month - 1, day, hour, minute, second) + Number(query.get("X-Amz-Expires")) * 1000;
  }
  const told = Number(query.get("until") ?? query.get("Expires") ?? query.get("expires"));
  return told > 0 ? told * 1000 : now + UNTOLD;
}
