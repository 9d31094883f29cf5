/** An album's share links. */

import { call, send, told } from "../api/client";
import { nextIn } from "./albums";

export interface Link {
  id: number;
  /** Null where the key that sealed it has been retired: it works, but cannot be shown again. */
  share_url: string | null;
  is_active: boolean;
  expires_at: string | null;
  view_count: number;
  allow_original: boolean;
  created_at: string;
}

/** Newest first; also those that were revoked or have expired. All of them: they are few. */
export async function linksOf(albumId: number, signal: AbortSignal): Promise<Link[]> {
  const links: Link[] = [];
  let cursor: string | null = null;
  do {
    const more: string = cursor === null ? "" : `?cursor=${encodeURIComponent(cursor)}`;
    const answer: Response = await send("GET", `/albums/${albumId}/share${more}`, { signal });
    links.push(...(await told<Link[]>(answer, signal)));
    cursor = nextIn(answer.headers.get("Link"));
  } while (cursor !== null);
  return links;
}

/** `days` null: until it is revoked. */
export function createLink(albumId: number, days: number | null, originals: boolean): Promise<Link> {
  const body = { ...(days === null ? {} : { expires_in_days: days }), allow_original: originals };
  return call("POST", `/albums/${albumId}/share`, { body, idempotent: true });
}

export function revokeLink(albumId: number, id: number): Promise<void> {
  return call("DELETE", `/albums/${albumId}/share/${id}`);
}

export function works(link: Link, now = Date.now()): boolean {
  return link.is_active && (link.expires_at === null || Date.parse(link.expires_at) > now);
}

/** The address as somebody else needs it; the API's may be a path, where no public URL is set. */
export function wholeUrl(link: Link): string | null {
  return link.share_url && new URL(link.share_url, location.origin).href;
}
