/** Photos that suit what was asked, page by page. */

import { nextIn } from "../albums/albums";
import { call, send, told } from "../api/client";
import type { Change } from "../photos/changes";
import { ListModel, type ListPage } from "../timeline/list.svelte";
import { written, type Asked } from "./asked";

interface Photo {
  id: number;
  width: number | null;
  height: number | null;
}

const PAGE = 100;

export function found(asked: Asked): ListModel {
  const query = `/photos/?${written(asked)}&limit=${PAGE}`;
  async function page(cursor: string | null, signal: AbortSignal): Promise<ListPage> {
    const more = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await send("GET", query + more, { signal });
    const photos = await told<Photo[]>(answer, signal);
    return {
      photos: photos.map(({ id, width, height }) => ({ id, ratio: width && height ? width / height : 0 })),
      next: nextIn(answer.headers.get("Link")),
    };
  }
  const leaves: Change["what"][] = ["delete", "purge"];
  if (asked.favourite) leaves.push("unfavourite");
  if (asked.archived) leaves.push(asked.archived === "true" ? "unarchive" : "archive");
  return new ListModel(page, { leaves });
}

export interface Facets {
  cameras: string[];
  types: string[];
}

export function facets(): Promise<Facets> {
  return call<Facets>("GET", "/photos/facets");
}
