/** Short messages at the page's edge, the last ones: what was done, with a way back, or what failed. */

export interface Notice {
  id: number;
  text: string;
  kind: "done" | "failed";
  action?: { text: string; run: () => void } | undefined;
}

const MOST = 4;
/** Milliseconds; failures stay until they are closed. */
const SHOWN = 8_000;

let last = 0;
export const notices = $state<Notice[]>([]);

export function notify(text: string, action?: Notice["action"]): void {
  add({ id: ++last, text, kind: "done", action });
  const id = last;
  setTimeout(() => close(id), SHOWN);
}

export function notifyFailure(text: string, action?: Notice["action"]): void {
  add({ id: ++last, text, kind: "failed", action });
}

export function close(id: number): void {
  const at = notices.findIndex((notice) => notice.id === id);
  if (at >= 0) notices.splice(at, 1);
}

function add(notice: Notice): void {
  notices.push(notice);
  if (notices.length > MOST) notices.shift();
}
