/** Opens the photo that the address names, after a reload or a step in the history. */

import type { Shown } from "../timeline/shown";
import { photoAsked } from "./address";
import { OnePhoto } from "./one.svelte";
import { openViewer } from "./open";
import { PhotoCache } from "./photo";
import { seek } from "./seek";

/** What is not among the view's photos, such as one that is archived, is shown alone. */
export async function openAsked(photos: Shown, id: number, open: (index: number) => unknown): Promise<void> {
  const index = await seek(photos, id, new PhotoCache());
  if (index >= 0) open(index);
  else if (photoAsked() === id) await alone(id);
}

async function alone(id: number): Promise<void> {
  const one = new OnePhoto(id);
  const stop = one.start();
  await openViewer(one, 0).finally(stop);
}
