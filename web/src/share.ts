/** Shared pages are whole without this: it adds the keys of a viewer. */

import "./share.css";

const KEYS: Record<string, string> = { ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]", Escape: "nav a" };

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  document.querySelector<HTMLAnchorElement>(KEYS[event.key] ?? "none")?.click();
});
