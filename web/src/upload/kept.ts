/**
 * What is known of uploads, in IndexedDB: a page that was closed, or whose tab crashed, tells which
 * ones are missing. Bytes stay where they are; picking the same files again goes on, and those that
 * were uploaded are known by path, size and time without being read again.
 */

export interface Kept {
  account: string;
  id: string;
  /** The page that has it in hand; with it gone, the next one takes it over. */
  tab: string;
  name: string;
  folder: string;
  size: number;
  /** Milliseconds since the epoch, as is `at`, when this was written last. */
  modified: number;
  at: number;
  albumId: number | null;
  sha256: string | null;
  /** The Idempotency-Key of an upload that was begun, and the photo that it is to become. */
  begun: string | null;
  photoId: number | null;
  whole: boolean;
  /** 1 once it is uploaded; an index takes no booleans. */
  done: 0 | 1;
}

const NAME = "photo-api.uploads";
const STORE = "files";
/** Beyond these the oldest are forgotten. */
const MOST = 60_000;
const LONGEST = 30 * 86_400_000;
/** Milliseconds in which changes are gathered. */
const SOON = 300;
/** Milliseconds after which a database that says nothing is taken for broken, and for how long. */
const SILENCE = 5_000;
const REST = 60_000;

export class KeptUploads {
  private opened: Promise<IDBDatabase> | null = null;
  private changed = new Map<string, { account: string; id: string; kept: Kept | null }>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private restsUntil = 0;

  /** What an account has not uploaded yet; nothing where the browser keeps nothing (a private window,
   * a full disk). */
  async unfinished(account: string): Promise<Kept[]> {
    await this.prune();
    const found = await this.run<Kept[]>("readonly", (store) => store.index("open").getAll([account, 0], MOST));
    return found ?? [];
  }

  async get(account: string, id: string): Promise<Kept | null> {
    const unwritten = this.changed.get(key(account, id));
    if (unwritten) return unwritten.kept;
    return (await this.run<Kept | undefined>("readonly", (store) => store.get([account, id]))) ?? null;
  }

  put(kept: Kept): void {
    this.note(kept.account, kept.id, kept);
  }

  remove(account: string, id: string): void {
    this.note(account, id, null);
  }

  /** Writes now what is gathered. Whatever fails is not kept: uploads go on without. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const changed = [...this.changed.values()];
    this.changed.clear();
    if (changed.length === 0) return;
    await this.run("readwrite", (store) => {
      let last: IDBRequest | undefined;
      for (const { account, id, kept } of changed) last = kept ? store.put(kept) : store.delete([account, id]);
      return last!;
    });
  }

  private note(account: string, id: string, kept: Kept | null): void {
    this.changed.set(key(account, id), { account, id, kept });
    this.timer ??= setTimeout(() => void this.flush(), SOON);
  }

  /** Forgets what is old or too much, of every account. */
  private async prune(): Promise<void> {
    const count = (await this.run("readonly", (store) => store.count())) ?? 0;
    const old = IDBKeyRange.upperBound(Date.now() - LONGEST);
    const keys = [
      ...((await this.run("readonly", (store) => store.index("at").getAllKeys(old))) ?? []),
      ...(count <= MOST
        ? []
        : ((await this.run("readonly", (store) => store.index("at").getAllKeys(null, count - MOST))) ?? [])),
    ];
    if (keys.length === 0) return;
    await this.run("readwrite", (store) => {
      let last: IDBRequest | undefined;
      for (const key of keys) last = store.delete(key);
      return last!;
    });
  }

  private async run<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | null> {
    if (performance.now() < this.restsUntil) return null;
    try {
      const database = await heard((this.opened ??= open()));
      const request = ask(database.transaction(STORE, mode, { durability: "relaxed" }).objectStore(STORE));
      return await heard(settled(request));
    } catch (error) {
      // Nobody waits for it with each file.
      if (error instanceof Silent) this.restsUntil = performance.now() + REST;
      this.opened = null;
      return null;
    }
  }
}

function key(account: string, id: string): string {
  return `${account} ${id}`;
}

class Silent extends Error {}

/** Browsers have been seen whose databases neither open nor fail. */
function heard<T>(answer: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Silent()), SILENCE);
  });
  return Promise.race([answer, silence]).finally(() => clearTimeout(timer));
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 2);
  request.onupgradeneeded = () => {
    const database = request.result;
    for (const name of [...database.objectStoreNames]) database.deleteObjectStore(name);
    const store = database.createObjectStore(STORE, { keyPath: ["account", "id"] });
    store.createIndex("at", "at");
    store.createIndex("open", ["account", "done"]);
  };
  // Another page that has an older one open does not let it be changed: without, then.
  return new Promise((resolve, reject) => {
    request.onblocked = () => reject(new Error("blocked"));
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
}
