/** Parts of the page that come when they are wanted.
 *
 * While a release takes over from another one, a balancer may ask an instance that does not have a part:
 * so it is asked for again. What no instance has any more is of a release that is gone: then the page is
 * loaded anew at the same address, once in a while, and never away from uploads. */

import { unfinishedUploads } from "./upload/offer";

const WAITS = [300, 1_000, 3_000];
const KEY = "photo-api.reloaded";
const SELDOM = 60_000;

export interface Leaving {
  may(): boolean;
  leave(): void;
}

export async function part<T>(load: () => Promise<T>, leaving: Leaving = page): Promise<T> {
  for (const wait of WAITS) {
    try {
      return await load();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
  try {
    return await load();
  } catch (error) {
    if (!leaving.may()) throw error;
    leaving.leave();
    return new Promise<T>(() => {}); // The page goes.
  }
}

/** For what the page must not be left for. */
export const STAYS: Leaving = { may: () => false, leave: () => {} };

const page: Leaving = {
  may() {
    if (!navigator.onLine || unfinishedUploads() > 0) return false;
    try {
      return Math.abs(Date.now() - Number(sessionStorage.getItem(KEY) ?? 0)) > SELDOM;
    } catch {
      return false; // Where nothing is kept, it would be loaded again and again.
    }
  },
  leave() {
    sessionStorage.setItem(KEY, String(Date.now()));
    location.reload();
  },
};
