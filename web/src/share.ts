/** Shared pages are whole without this: it adds the keys of a viewer, and pictures whose addresses have
 * ended while the page was open. */

import "./share.css";

const KEYS: Record<string, string> = { ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]", Escape: "a[rel=up]" };

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  document.querySelector<HTMLAnchorElement>(KEYS[event.key] ?? "none")?.click();
});

// The service knows where a tile's picture is now; the address in the page worked for some minutes.
addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLImageElement)) return;
    const photo = target.closest<HTMLAnchorElement>(".tiles a");
    if (!photo || target.dataset.again) return;
    target.dataset.again = "1";
    target.src = `/api${photo.pathname}/image?size=thumbnail`;
  },
  true,
);
