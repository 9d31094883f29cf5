/** The way into the viewer; all else of it comes when the first photo is opened. */

import { t } from "../i18n/index.svelte";
import type { Geometry } from "../timeline/geometry";
import type { Tile } from "../timeline/shown";
import { notifyFailure } from "../ui/notices.svelte";

/** What the viewer needs of a list of photos; every model that a Grid shows has it. */
export interface Photos {
  readonly ids: Float64Array;
  readonly tiles: ReadonlyMap<number, Tile>;
  readonly geometry: Geometry | null;
  readonly version: number;
  want(from: number, to: number): void;
}

export interface ViewerOptions {
  /** What stands for this photo on the page, for the transition; null where nothing does. */
  tile?: (index: number) => HTMLElement | null;
}

/** Shows the photo until somebody closes it; gives the index of the photo that was shown last. */
export async function openViewer(photos: Photos, index: number, options: ViewerOptions = {}): Promise<number> {
  try {
    const { show } = await import("./show");
    return await show(photos, index, options);
  } catch {
    // A chunk of a release that is gone, or no network.
    notifyFailure(t("error.view"), { text: t("action.retry"), run: () => void openViewer(photos, index, options) });
    return index;
  }
}
