/** The worker that hashes, asked by promises. */

export class Hasher {
  private worker: Worker | null = null;
  private waiting = new Map<number, { resolve: (hex: string) => void; reject: (error: Error) => void }>();
  private last = 0;

  digest(file: Blob): Promise<string> {
    this.worker ??= this.start();
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker!.postMessage({ id, file });
    });
  }

  private start(): Worker {
    const worker = new Worker(new URL("./hash.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<{ id: number; hex?: string; problem?: string }>) => {
      const asked = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.hex !== undefined) asked?.resolve(data.hex);
      else asked?.reject(new Error(data.problem));
    };
    worker.onerror = () => {
      // Whoever waits learns it; the next one gets a new worker.
      const asked = [...this.waiting.values()];
      this.waiting.clear();
      this.worker = null;
      worker.terminate();
      for (const one of asked) one.reject(new Error("the worker ended"));
    };
    return worker;
  }
}
