/** The worker that hashes, asked by promises. */

import type { Hashed } from "./hash.worker";

/** What a file's bytes tell: their digest, or null where nothing could count it, and whether they
 * are an image's. */
export interface Told {
  sha256: string | null;
  accepted: boolean;
}

export class Unreadable extends Error {}

interface Asked {
  resolve: (told: Told) => void;
  reject: (error: Error) => void;
}

/** Workers that may die, or not come, before files are sent without a digest. */
const MOST_DEATHS = 3;

export class Hasher {
  private worker: Worker | null = null;
  private waiting = new Map<number, Asked>();
  private last = 0;
  private deaths = 0;

  /** Rejects with `Unreadable`. */
  digest(file: Blob): Promise<Told> {
    // The API counts for itself what comes without one.
    if (this.deaths >= MOST_DEATHS) return Promise.resolve({ sha256: null, accepted: true });
    const worker = (this.worker ??= this.start());
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ id, file });
    });
  }

  close(): void {
    this.worker?.terminate();
    this.worker = null;
    this.leave();
  }

  private start(): Worker {
    const worker = new Worker(new URL("./hash.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Hashed>) => {
      const asked = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("problem" in data) asked?.reject(new Unreadable(data.problem));
      else asked?.resolve({ sha256: data.hex || null, accepted: data.accepted });
    };
    worker.onerror = () => {
      // Its script may be of a release that is gone, or its memory was not enough.
      this.deaths++;
      worker.terminate();
      this.worker = null;
      this.leave();
    };
    return worker;
  }

  /** Whoever waits goes on without a digest. */
  private leave(): void {
    const asked = [...this.waiting.values()];
    this.waiting.clear();
    for (const one of asked) one.resolve({ sha256: null, accepted: true });
  }
}
