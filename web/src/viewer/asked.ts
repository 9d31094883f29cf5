/** Opens the photo that the address names, after a reload or a step in the history. */

import { photoAsked } from "./address";
import { OnePhoto } from "./one.svelte";
import { openViewer } from "./open";
import { PhotoCache } from "./photo";
import type { Shown } from "../timeline/shown";

/** Photos of a list without months that are looked through, from its begin. */
const FIRST = 1_000;

/**
 * `open` is how the view opens one of its photos. What is not among those, such as one that is archived, is
 * shown alone.
 */
export async function openAsked(photos: Shown, open: (index: number) => unknown): Promise<void> {
  const id = photoAsked();
  if (id === null) return;
  const index = await place(photos, id);
  if (photoAsked() !== id) return;
  if (index >= 0) open(index);
  else await alone(id);
}

async function alone(id: number): Promise<void> {
  const one = new OnePhoto(id);
  const stop = one.start();
  await openViewer(one, 0).finally(stop);
}

async function place(photos: Shown, id: number): Promise<number> {
  const known = photos.find(id);
  if (known >= 0) return known;
  try {
    const { sort_at } = await new PhotoCache().get(id);
    let first = 0;
    for (const { month, count } of photos.sections) {
      if (sort_at.startsWith(month)) {
        await photos.know(first, Math.min(first + count, first + FIRST));
        break;
      }
      first += count;
    }
    return photos.find(id);
  } catch {
    // The viewer says what is the matter.
    return -1;
  }
}
