/**
 * What this browser keeps for the page. Where it keeps nothing (cookies are blocked, the disk is full)
 * it holds as long as the page is open.
 */

const areas = { browser: () => localStorage, tab: () => sessionStorage };
type Area = keyof typeof areas;
/** What the browser did not take, and what it had in its place at that time (null for nothing, or no way to
 * see it). Once that is another, another tab has kept something since. */
const memory = new Map<string, { value: string; over: string | null }>();

/** `tab`: over a reload, for this tab alone. */
export function kept(key: string, area: Area = "browser"): string | null {
  const stored = read(key, area);
  const own = memory.get(key);
  return own !== undefined && own.over === stored ? own.value : stored;
}

function read(key: string, area: Area): string | null {
  try {
    return areas[area]().getItem(key);
  } catch {
    return null;
  }
}

export function keep(key: string, value: string, area: Area = "browser"): void {
  memory.delete(key);
  try {
    areas[area]().setItem(key, value);
  } catch {
    memory.set(key, { value, over: read(key, area) });
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
