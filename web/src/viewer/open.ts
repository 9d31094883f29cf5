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
  viewing = true;
  try {
    const { show } = await part(() => import("./show"));
    return await show(photos, index, options);
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
  const look = () => {
    if (viewing || photoAsked() === null) return;
    // Without it the photo is not open, and the view is there.
    void import("./asked").then(({ openAsked }) => openAsked(photos, open), () => undefined);
  };
  look();
  addEventListener("popstate", look);
  return () => removeEventListener("popstate", look);
}
