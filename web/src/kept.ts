/**
 * What this browser keeps for the page. Where it keeps nothing (cookies are blocked, the disk is full)
 * it holds as long as the page is open.
 */

const areas = { browser: () => localStorage, tab: () => sessionStorage };
type Area = keyof typeof areas;
const memory = new Map<string, string>();

/** `tab`: over a reload, for this tab alone. */
export function kept(key: string, area: Area = "browser"): string | null {
  try {
    return areas[area]().getItem(key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

export function keep(key: string, value: string, area: Area = "browser"): void {
  memory.delete(key);
  try {
    areas[area]().setItem(key, value);
  } catch {
    memory.set(key, value);
  }
}

export function forget(key: string, area: Area = "browser"): void {
  memory.delete(key);
  try {
    areas[area]().removeItem(key);
  } catch {
    // Then it was not kept either.
  }
}
