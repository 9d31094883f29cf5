/**
 * What is known of files that are not uploaded yet, in IndexedDB: a page that was closed, or whose tab
 * crashed, tells which ones are missing. Their bytes stay where they are; dropping them again goes on.
 */

export interface Kept {
  id: string;
  name: string;
  folder: string;
  size: number;
  modified: number;
  sha256: string | null;
  albumId: number | null;
}

const NAME = "photo-api.uploads";
const STORE = "files";
/** More than that are uploaded as any, but not remembered over a reload. */
const MOST = 50_000;

export class KeptUploads {
  private opened: Promise<IDBDatabase> | null = null;
  private count = 0;

  async all(): Promise<Kept[]> {
    const found = await this.run<Kept[]>("readonly", (store) => store.getAll(null, MOST));
    this.count = found?.length ?? 0;
    return found ?? [];
  }

  async put(kept: Kept): Promise<void> {
    if (this.count >= MOST) return;
    this.count++;
    await this.run("readwrite", (store) => store.put(kept));
  }

  async remove(id: string): Promise<void> {
    this.count = Math.max(0, this.count - 1);
    await this.run("readwrite", (store) => store.delete(id));
  }

  async clear(): Promise<void> {
    this.count = 0;
    await this.run("readwrite", (store) => store.clear());
  }

  /** Null where the browser keeps nothing (a private window, a full disk): uploads go on without. */
  private async run<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest): Promise<T | null> {
    try {
      const database = await (this.opened ??= open());
      const request = ask(database.transaction(STORE, mode).objectStore(STORE));
      return await new Promise<T>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result as T);
        request.onerror = () => reject(request.error);
      });
    } catch {
      this.opened = null;
      return null;
    }
  }
}

function open(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
