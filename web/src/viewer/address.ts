/**
 * The address of the photo that is open: `?photo=ID` on the view's own, so that a reload shows it
 * again and a phone's back button closes it.
 */

const NAME = "photo";

/** The photo that the address names, if it names one. */
export function photoAsked(): number | null {
  const told = new URLSearchParams(location.search).get(NAME);
  return told !== null && /^[1-9]\d{0,15}$/.test(told) ? Number(told) : null;
}

function addressWith(id: number | null): string {
  const query = new URLSearchParams(location.search);
  if (id === null) query.delete(NAME);
  else query.set(NAME, String(id));
  const text = query.toString();
  return location.pathname + (text && `?${text}`);
}

export class Address {
  private readonly path = location.pathname;
  /** Whether the step in the history is ours, and may be gone back. */
  private readonly stepped: boolean;
  private closed = false;

  constructor(id: number) {
    this.stepped = photoAsked() === null;
    if (this.stepped) history.pushState(null, "", addressWith(id));
    else this.moved(id);
  }

  moved(id: number): void {
    if (id > 0 && !this.closed && !this.left && photoAsked() !== id) history.replaceState(null, "", addressWith(id));
  }

  /** Whether somebody has gone elsewhere by now: back, or to another view. */
  get left(): boolean {
    return photoAsked() === null || location.pathname !== this.path;
  }

  close(): void {
    // A step back takes its time, and must not be asked for twice.
    if (this.closed || this.left) return;
    this.closed = true;
    if (this.stepped) history.back();
    else history.replaceState(null, "", addressWith(null));
  }
}
