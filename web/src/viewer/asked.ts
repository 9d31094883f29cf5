/** Opens the photo that the address names, after a reload or a step in the history. */

import { photoAsked } from "./address";
import { OnePhoto } from "./one.svelte";
import { openViewer } from "./open";
import { PhotoCache } from "./photo";
import { seek } from "./seek";
import type { Shown } from "../timeline/shown";

/**
 * `open` is how the view opens one of its photos. What is not among those, such as one that is archived, is
 * shown alone.
 */
export async function openAsked(photos: Shown, open: (index: number) => unknown): Promise<void> {
  const id = photoAsked();
  if (id === null) return;
  const index = await seek(photos, id, new PhotoCache());
  if (photoAsked() !== id) return;
  if (index >= 0) open(index);
  else await alone(id);
}

async function alone(id: number): Promise<void> {
  const one = new OnePhoto(id);
  const stop = one.start();
  await openViewer(one, 0).finally(stop);
}
