/** Which pages live: each holds a Web Lock of its own, which ends with it however it ends. */

const LOCKS = "photo-api.uploads.";

export interface Tabs {
  readonly own: string;
  /** Calls back with the names of living pages, while no other page does the same. */
  alone<T>(work: (living: ReadonlySet<string>) => Promise<T>): Promise<T>;
}

export function openTab(): Tabs {
  const own = Array.from(crypto.getRandomValues(new Uint8Array(8)), (n) => n.toString(16).padStart(2, "0")).join("");
  // Pages on plain http have no locks: then two pages may take over the same entries, and what one has
  // uploaded the other one finds to be there.
  if (!navigator.locks) return { own, alone: (work) => work(new Set([own])) };
  const held = new Promise<void>((resolve) => {
    void navigator.locks.request(LOCKS + own, () => {
      resolve();
      return new Promise(() => undefined);
    });
  });
  return {
    own,
    alone: async (work) => {
      await held;
      return await navigator.locks.request(`${LOCKS}taking`, async () => {
        const { held: locks = [] } = await navigator.locks.query();
        return await work(new Set(locks.map((lock) => (lock.name ?? "").slice(LOCKS.length))));
      });
    },
  };
}
