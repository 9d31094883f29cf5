/** Writes what somebody says about a photo. */

import { ApiError, call } from "../api/client";
import { t } from "../i18n/index.svelte";
import { changed } from "../photos/changes";
import { problem } from "../ui/problem";
import type { Deck } from "./deck.svelte";
import type { Photo } from "./photo";

export interface Said {
  title?: string;
  description?: string;
  sort_at?: string;
  utc_offset?: number;
  date_source?: "file";
}

/** Gives the photo as it is now; throws what the client throws. May be sent again. */
export async function say(deck: Deck, id: number, said: Said): Promise<Photo> {
  try {
    const photo = await call<Photo>("PATCH", `/photos/${id}`, { body: said });
    deck.put(photo);
    changed("edited", [id]);
    return photo;
  } catch (error) {
    changed("unknown", [id]);
    throw error;
  }
}

/** What went wrong, in words. */
export function whyNot(error: unknown): string {
  if (error instanceof ApiError && error.status === 404 && !error.foreign) return t("viewer.gone_meanwhile");
  return problem(error);
}
