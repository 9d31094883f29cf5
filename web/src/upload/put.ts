/** One PUT to the store, with progress, which fetch does not tell. */

import { Unreachable } from "../api/client";

export class PutRefused extends Error {
  constructor(readonly status: number) {
    super(`the store answered ${status}`);
  }
}

/** Milliseconds without a byte of progress after which the way to the store is taken for dead. */
const SILENCE = 60_000;

export function put(
  url: string,
  headers: Record<string, string>,
  file: Blob,
  progress: (sent: number) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    let watch: ReturnType<typeof setTimeout> | undefined;
    function stop(): void {
      request.abort();
    }
    function heard(): void {
      clearTimeout(watch);
      watch = setTimeout(stop, SILENCE);
    }
    function end(settle: () => void): void {
      clearTimeout(watch);
      signal.removeEventListener("abort", stop);
      settle();
    }
    request.upload.onprogress = (event) => {
      heard();
      progress(event.loaded);
    };
    // Small files have no other word of it.
    request.upload.onload = () => progress(file.size);
    request.onload = () => {
      const ok = request.status >= 200 && request.status < 300;
      end(() => (ok ? resolve() : reject(new PutRefused(request.status))));
    };
    // Also where the store refused without a word to other origins.
    request.onerror = () => end(() => reject(new Unreachable("the store")));
    request.onabort = () => end(() => reject(signal.aborted ? signal.reason : new Unreachable("the store")));
    signal.addEventListener("abort", stop, { once: true });
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    heard();
    request.send(file);
  });
}
