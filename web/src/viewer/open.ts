/** The way into the viewer; all else of it comes when the first photo is opened. */

import { t } from "../i18n/index.svelte";
import { part } from "../part";
import type { Shown } from "../timeline/shown";
import { notifyFailure } from "../ui/notices.svelte";
import { photoAsked } from "./address";

export interface ViewerOptions {
  /** What stands for this photo on the page, for the transition; null where nothing does. */
  tile?: (index: number) => HTMLElement | null;
}

let viewing = false;

/** Shows the photo until somebody closes it; gives the index of the photo that was shown last. */
export async function openViewer(photos: Shown, index: number, options: ViewerOptions = {}): Promise<number> {
  if (viewing) return index;
  viewing = true;
  try {
    if (photos.ids[index] === 0) await photos.know(index, index + 1);
    const id = photos.ids[index];
    const { show } = await part(() => import("./show"));
    // The list may have changed meanwhile.
    const found = id > 0 ? photos.find(id) : -1;
    return await show(photos, found < 0 ? index : found, options);
  } catch {
    // A chunk of a release that is gone, or no network.
    notifyFailure(t("error.view"), { text: t("action.retry"), run: () => void openViewer(photos, index, options) });
    return index;
  } finally {
    viewing = false;
  }
}

/**
 * Opens the photo that the address names, now and after steps in the history. `open` is how the view opens one
 * of its photos. Gives what ends that.
 */
export function followAddress(photos: Shown, open: (index: number) => unknown): () => void {
  let asking = false;
  let ended = false;
  async function look(): Promise<void> {
    const id = photoAsked();
    if (viewing || asking || id === null) return;
    asking = true;
    try {
      const { openAsked } = await part(() => import("./asked"));
      await openAsked(photos, id, (index) => !ended && !viewing && photoAsked() === id && open(index));
    } catch {
      // Without the chunk the photo is not open, and the view is there.
    } finally {
      asking = false;
    }
  }
  const followed = () => void look();
  followed();
  addEventListener("popstate", followed);
  return () => {
    ended = true;
    removeEventListener("popstate", followed);
  };
}
