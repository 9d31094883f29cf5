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

  /** The same for the photo of an index, once its id is known. Rejects as the client does. */
  async toggleAt(model: Shown, index: number): Promise<void> {
    if (!(model.ids[index] > 0)) await model.know(index, index + 1);
    if (model.ids[index] > 0) this.toggle(model.ids[index]);
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

  /**
   * Adds all from the photo that was picked last (or else from that of the index `begin`) to that of this
   * index, once their ids are known. Rejects as the client does.
   */
  async range(model: Shown, index: number, begin = index): Promise<void> {
    if (!this.picked.has(this.from)) this.from = model.ids[begin];
    const from = this.from;
    const start = from > 0 ? model.find(from) : begin;
    const end = model.ids[index];
    if (start < 0) return;
    await model.know(Math.min(start, index), Math.max(start, index) + 1);
    // What has come since may have moved them.
    const [a, b] = [from > 0 ? model.find(from) : begin, end > 0 ? model.find(end) : index];
    if (a < 0 || b < 0) return;
    this.from ||= model.ids[a];
    this.add(model.ids.subarray(Math.min(a, b), Math.max(a, b) + 1));
  }
}
