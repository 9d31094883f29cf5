/** A place in a grid that can be found again while photos come and go, and after a reload. */

import { firstBelow, sectionOf } from "./geometry";
import type { Shown } from "./shown";

export interface Place {
  /** The photo at the screen's upper edge, where it is known which that is. */
  id: number;
  month: string;
  /** Its number in its month. */
  within: number;
  /** How far its row's top is below the screen's upper edge, in pixels. */
  below: number;
}

export function placeAt(model: Shown, y: number, index = -1): Place | null {
  const geometry = model.geometry;
  if (!geometry || model.ids.length === 0) return null;
  const at = index >= 0 ? index : Math.min(firstBelow(geometry, y), model.ids.length - 1);
  const section = sectionOf(geometry, at);
  return {
    id: model.ids[at],
    month: model.sections[section].month,
    within: at - geometry.firsts[section],
    below: geometry.top[at] - y,
  };
}

/** Where the photo of a place is now, or one near it; -1 if there is none. */
export function indexOf(model: Shown, place: Place): number {
  const geometry = model.geometry;
  if (!geometry || model.ids.length === 0) return -1;
  let section = model.sections.findIndex(({ month }) => month === place.month);
  const at = section < 0 ? -1 : geometry.firsts[section] + Math.min(place.within, model.sections[section].count - 1);
  if (at >= 0 && (place.id === 0 || model.ids[at] === place.id)) return at;
  const found = place.id > 0 ? model.find(place.id) : -1;
  if (found >= 0) return found;
  if (at >= 0) return at;
  // The month is gone: the next one that was earlier.
  section = model.sections.findIndex(({ month }) => month < place.month);
  return section < 0 ? model.ids.length - 1 : geometry.firsts[section];
}

export function keptPlace(): Place | null {
  return ((history.state as { place?: Place } | null)?.place) ?? null;
}

/** Kept with the entry of the browser's history, for the way back and for a reload. */
export function keepPlace(place: Place | null): void {
  history.replaceState({ ...(history.state as object | null), place }, "");
}
