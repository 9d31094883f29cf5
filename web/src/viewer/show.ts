import { mount, unmount } from "svelte";
import type { Photos, ViewerOptions } from "./open";
import Viewer from "./Viewer.svelte";

export function show(photos: Photos, index: number, options: ViewerOptions): Promise<number> {
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
