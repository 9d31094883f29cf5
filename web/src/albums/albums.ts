/** Requests about albums, and what the API answers. */

import { call, send, told } from "../api/client";
import { bulk } from "../photos/changes";

export type Sort = "position" | "-position" | "taken" | "-taken";

export interface Cover {
  photo_id: number;
  thumbnail_url: string | null;
  blurhash: string | null;
}

export interface Album {
  id: number;
  name: string;
  description: string | null;
  cover_photo_id: number | null;
  photo_count: number;
  sort: Sort;
  cover?: Cover | null;
}

/** As many as one request about photos may name. */
export const AT_ONCE = 1_000;
const PAGE = 100;

export interface AlbumPage {
  albums: Album[];
  /** The cursor of the following page. */
  next: string | null;
}

export async function albumPage(cursor: string | null, signal?: AbortSignal): Promise<AlbumPage> {
  const more = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  const answer = await send("GET", `/albums?covers=true&limit=${PAGE}${more}`, { signal });
  return { albums: await told<Album[]>(answer, signal), next: nextIn(answer.headers.get("Link")) };
}

/** The cursor in `</api/albums/?cursor=…&limit=100>; rel="next"`. */
export function nextIn(link: string | null): string | null {
  const address = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? "")?.[1];
  return address === undefined ? null : new URL(address, "http://here").searchParams.get("cursor");
}

export function createAlbum(name: string, description = ""): Promise<Album> {
  return call("POST", "/albums", { body: { name, description: description || null }, idempotent: true });
}

export interface AlbumChange {
  name?: string;
  description?: string;
  cover_photo_id?: number;
  sort?: Sort;
}

export function changeAlbum(id: number, change: AlbumChange): Promise<Album> {
  return call("PATCH", `/albums/${id}`, { body: change });
}

export function deleteAlbum(id: number): Promise<void> {
  return call("DELETE", `/albums/${id}`);
}

export interface Added {
  /** How many photos came into the album by this. */
  added: number;
  /** How many were in it before. */
  already: number;
  /** How many are nobody's any more, or in the trash. */
  gone: number;
}

/**
 * Puts photos at an album's end, in this order. Where it fails midway, what was added stays, and the
 * same once more is right: nothing is in an album twice.
 */
export async function addTo(albumId: number, ids: readonly number[]): Promise<Added> {
  const { done, unchanged, missing } = await bulk("move", ids, { album_id: albumId });
  return { added: done.length - unchanged, already: unchanged, gone: missing.length };
}
