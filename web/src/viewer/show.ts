import { mount, unmount } from "svelte";
import type { Shown } from "../timeline/shown";
import type { ViewerOptions } from "./open";
import Viewer from "./Viewer.svelte";
import "./viewer.css";

/** Resolves with the index of the photo that was shown last, once the viewer is closed. */
export function show(photos: Shown, index: number, options: ViewerOptions): Promise<number> {
  return new Promise((resolve) => {
    const viewer = mount(Viewer, {
      target: document.body,
      props: {
        photos,
        index,
        options,
        onclose(last: number) {
          void unmount(viewer);
          resolve(last);
        },
      },
    });
  });
}
