/** The photos that somebody has picked, by their ids, in the order of picking. */

import type { Shown } from "./shown";

export class Selection {
  private picked = new Set<number>();
  private version = $state(0);
  /** The photo from which a range goes: the last one that was picked. */
  private from = 0;

  get size(): number {
    void this.version;
    return this.picked.size;
  }

  has(id: number): boolean {
    void this.version;
    return this.picked.has(id);
  }

  ids(): number[] {
    void this.version;
    return [...this.picked];
  }

  toggle(id: number): void {
    if (!this.picked.delete(id)) this.picked.add(id);
    this.from = id;
    this.version++;
  }

  add(ids: Iterable<number>): void {
    for (const id of ids) if (id > 0) this.picked.add(id);
    this.version++;
  }

  drop(ids: Iterable<number>): void {
    for (const id of ids) this.picked.delete(id);
    this.version++;
  }

  clear(): void {
    this.picked.clear();
    this.from = 0;
    this.version++;
  }

  /** Adds all from the photo that was picked last to that of this index, once their ids are known. */
  async range(model: Shown, index: number): Promise<void> {
    const begin = this.from > 0 ? model.find(this.from) : -1;
    if (begin < 0) return this.toggle(model.ids[index]);
    const [first, last] = begin < index ? [begin, index] : [index, begin];
    const end = model.ids[index];
    await model.know(first, last + 1);
    // What came may have moved them.
    const [a, b] = [model.find(this.from), end > 0 ? model.find(end) : index];
    if (a < 0 || b < 0) return;
    this.add(model.ids.subarray(Math.min(a, b), Math.max(a, b) + 1));
  }
}
