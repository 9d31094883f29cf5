/**
 * From an element's scroll position to a place in a timeline that may be longer than any element can
 * be. Below 10 million pixels they are the same. Above, the element stands for the whole: near both ends
 * a pixel is a pixel, in between it stands for several. Small steps move as many pixels as the hand does
 * all the same, large ones (the scroll bar) go to the proportional place, and once scrolling rests,
 * `settle` brings both together again without moving what is on the screen.
 */

const LONGEST = 10_000_000;
const EDGE = 500_000;

export class Scroller {
  private place = 0;
  private scroll = 0;

  /** The element's scroll position, as far as it is known here. */
  get position(): number {
    return this.scroll;
  }

  /** The height of all that is scrolled. */
  size(total: number): number {
    return Math.min(total, LONGEST);
  }

  /** What is subtracted from a place to have it inside the element. */
  offset(total: number): number {
    return total <= LONGEST ? 0 : this.place - this.scroll;
  }

  /** Somebody has scrolled the element: the place that is at its upper edge now. */
  moved(scroll: number, total: number, viewport: number): number {
    const step = scroll - this.scroll;
    this.scroll = scroll;
    const end = LONGEST - viewport;
    if (total <= LONGEST) this.place = scroll;
    else if (Math.abs(step) > viewport || scroll <= 0 || scroll >= end) this.place = placeOf(scroll, total, viewport);
    else this.place = Math.min(Math.max(this.place + step, 0), total - viewport);
    return this.place;
  }

  /** The scroll position to set, so that `place` is at the upper edge. */
  jump(place: number, total: number, viewport: number): number {
    this.place = place;
    this.scroll = total <= LONGEST ? place : scrollOf(place, total, viewport);
    return this.scroll;
  }

  /** The scroll position that the present place should have. */
  settle(total: number, viewport: number): number {
    return this.jump(this.place, total, viewport);
  }
}

/** How many pixels one of the element stands for between the edges. */
function scale(total: number, viewport: number): number {
  return (total - viewport - 2 * EDGE) / (LONGEST - viewport - 2 * EDGE);
}

function scrollOf(place: number, total: number, viewport: number): number {
  const left = total - viewport - place;
  if (place <= EDGE) return place;
  if (left <= EDGE) return LONGEST - viewport - left;
  return EDGE + (place - EDGE) / scale(total, viewport);
}

function placeOf(scroll: number, total: number, viewport: number): number {
  const left = LONGEST - viewport - scroll;
  if (scroll <= EDGE) return Math.max(scroll, 0);
  if (left <= EDGE) return total - viewport - Math.max(left, 0);
  return EDGE + (scroll - EDGE) * scale(total, viewport);
}
