/** Lists of photos by the API's parameters, page by page. */

import { send, told } from "../api/client";
import type { FetchPage } from "../timeline/list.svelte";

const PAGE = 200;

/** Pages of `GET /photos/` with these parameters, for a ListModel. */
export function photosBy(parameters: Record<string, string>): FetchPage {
  return async (cursor, signal) => {
    const query = new URLSearchParams({ ...parameters, limit: String(PAGE) });
    if (cursor !== null) query.set("cursor", cursor);
    const answer = await send("GET", `/photos/?${query}`, { signal });
    const photos = await told<{ id: number; width: number | null; height: number | null }[]>(answer, signal);
    return {
      photos: photos.map(({ id, width, height }) => ({ id, ratio: width && height ? width / height : 0 })),
      next: nextIn(answer.headers.get("Link")),
    };
  };
}

/** The cursor in `</api/photos/?cursor=…&limit=200>; rel="next"`. */
export function nextIn(link: string | null): string | null {
  const address = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(link ?? "")?.[1];
  return address === undefined ? null : new URL(address, "http://here").searchParams.get("cursor");
}
