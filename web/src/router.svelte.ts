/** The address as state. Every view has an address of its own, so that back, reload and links work. */

export type View =
  | { name: "timeline" | "albums" | "favourites" | "archive" | "trash" | "account" | "search" | "register" | "reset" | "unknown" }
  | { name: "album"; id: number };

let path = $state(location.pathname);
let query = $state(ofView(location.search));

addEventListener("popstate", follow);

function follow(): void {
  path = location.pathname;
  query = ofView(location.search);
}

/** Which photo is open is the viewer's business: a view stays as it is while photos are opened and closed. */
function ofView(search: string): string {
  const told = new URLSearchParams(search);
  told.delete("photo");
  return told.toString();
}

export function view(): View {
  const name = path.replace(/^\/|\/$/g, "");
  const album = /^albums\/(\d{1,15})$/.exec(name);
  if (album) return { name: "album", id: Number(album[1]) };
  switch (name) {
    case "":
    case "index.html":
      return { name: "timeline" };
    case "albums":
    case "favourites":
    case "archive":
    case "trash":
    case "account":
    case "search":
    case "register":
    case "reset":
      return { name };
    default:
      return { name: "unknown" };
  }
}

export function parameters(): URLSearchParams {
  return new URLSearchParams(query);
}

/** Goes to an address of ours; `replace` leaves no step back. */
export function go(to: string, replace = false): void {
  if (to === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  follow();
}

/** For links: opens in this page, unless somebody wants a new tab or window. */
export function followed(event: MouseEvent): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.currentTarget as HTMLAnchorElement;
  event.preventDefault();
  go(link.pathname + link.search);
}
