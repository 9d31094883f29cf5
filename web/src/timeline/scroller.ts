/**
 * From an element's scroll position to a place in a timeline that may be longer than any element can
 * be. Below 10 million pixels they are the same. Above, the element stands for the whole: small steps
 * move as many pixels as the hand does, large ones (the scroll bar) go to the proportional place.
 */

const LONGEST = 10_000_000;

export class Scroller {
  private place = 0;
  private scroll = 0;

  /** The element's scroll position, as far as it is known here. */
  get position(): number {
    return this.scroll;
  }

  /** The height of the element inside. */
  size(total: number, _viewport: number): number {
    return Math.min(total, LONGEST);
  }

  /** What is subtracted from a place to have it inside the element. */
  offset(total: number, _viewport: number): number {
    return total <= LONGEST ? 0 : this.place - this.scroll;
  }

  moved(scroll: number, total: number, viewport: number): number {
    const step = scroll - this.scroll;
    this.scroll = scroll;
    if (total <= LONGEST) return (this.place = scroll);
    const end = LONGEST - viewport;
    const far = Math.abs(step) > viewport || scroll <= 0 || scroll >= end;
    this.place = far ? (scroll / end) * (total - viewport) : this.place + step;
    return (this.place = Math.min(Math.max(this.place, 0), total - viewport));
  }

  /** The scroll position to set, so that `place` is at the top. */
  jump(place: number, total: number, viewport: number): number {
    this.place = place;
    this.scroll = total <= LONGEST ? place : (place / (total - viewport)) * (LONGEST - viewport);
    return this.scroll;
  }
}
