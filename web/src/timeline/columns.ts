/** The photos of all sections in columns, typed arrays side by side, and where each of them lies. */

import { GUESS, arrange, rearrange, type Geometry, type Measures, type Section } from "./geometry";

export interface Page {
  ids: ArrayLike<number>;
  /** Width by height; 0 where it is not known. */
  ratios: ArrayLike<number>;
  days: ArrayLike<number>;
}

export class Columns {
  sections: Section[] = [];
  /** The index of each section's first photo, and the number of all of them. */
  firsts: number[] = [0];
  ids = new Float64Array(0);
  ratios = new Float32Array(0);
  days = new Uint8Array(0);
  geometry: Geometry | null = null;
  private measures: Measures | null = null;

  layOut(measures: Measures | null = this.measures): void {
    this.measures = measures;
    if (measures !== null) this.geometry = arrange(this.sections, this.ratios, measures);
  }

  /** Other sections; of those of the same month what is known stays, as far as there is room. */
  replace(sections: Section[]): void {
    const before = { sections: this.sections, firsts: this.firsts, ids: this.ids, ratios: this.ratios, days: this.days };
    const places = new Map(before.sections.map((section, index) => [section.month, index]));
    this.sections = sections;
    this.firsts = [0];
    for (const { count } of sections) this.firsts.push(this.firsts.at(-1)! + count);
    const total = this.firsts.at(-1)!;
    this.ids = new Float64Array(total);
    this.ratios = new Float32Array(total).fill(GUESS);
    this.days = new Uint8Array(total);
    sections.forEach(({ month, count }, index) => {
      const old = places.get(month);
      if (old === undefined) return;
      const from = before.firsts[old];
      const to = from + Math.min(count, before.sections[old].count);
      this.ids.set(before.ids.subarray(from, to), this.firsts[index]);
      this.ratios.set(before.ratios.subarray(from, to), this.firsts[index]);
      this.days.set(before.days.subarray(from, to), this.firsts[index]);
    });
    this.layOut();
  }

  resize(index: number, count: number): void {
    if (this.sections[index].count === count) return;
    const others = this.sections.map((section, i) => (i === index ? { ...section, count } : section));
    this.replace(others);
  }

  /** Puts a page in, whose first photo is the section's `at`th, and lays the section out. */
  put(index: number, at: number, page: Page): void {
    const first = this.firsts[index] + at;
    this.ids.set(page.ids, first);
    this.days.set(page.days, first);
    for (let i = 0; i < page.ratios.length; i++) this.ratios[first + i] = page.ratios[i] || GUESS;
    this.settle(index);
  }

  /** Lays a section out after its ratios have changed. */
  settle(index: number): void {
    if (this.geometry && this.measures) rearrange(this.geometry, index, this.ratios, this.measures);
  }

  /** Takes photos out. Gives how many of each section. */
  remove(ids: ReadonlySet<number>): number[] {
    const taken = this.sections.map(() => 0);
    let to = 0;
    for (let index = 0; index < this.sections.length; index++) {
      for (let i = this.firsts[index]; i < this.firsts[index + 1]; i++) {
        if (this.ids[i] > 0 && ids.has(this.ids[i])) {
          taken[index]++;
          continue;
        }
        this.ids[to] = this.ids[i];
        this.ratios[to] = this.ratios[i];
        this.days[to++] = this.days[i];
      }
    }
    if (to === this.ids.length) return taken;
    this.ids = this.ids.slice(0, to);
    this.ratios = this.ratios.slice(0, to);
    this.days = this.days.slice(0, to);
    this.sections = this.sections.map((section, index) => ({ ...section, count: section.count - taken[index] }));
    this.firsts = [0];
    for (const { count } of this.sections) this.firsts.push(this.firsts.at(-1)! + count);
    this.layOut();
    return taken;
  }

  /** The section that holds the photo of this index. */
  sectionOf(index: number): number {
    let low = 0;
    let high = this.sections.length;
    while (low + 1 < high) {
      const middle = (low + high) >>> 1;
      if (this.firsts[middle] <= index) low = middle;
      else high = middle;
    }
    return low;
  }

  day(index: number): string {
    if (this.sections.length === 0) return "";
    const { month } = this.sections[this.sectionOf(index)];
    const day = this.days[index];
    return day > 0 ? `${month}-${String(day).padStart(2, "0")}` : month;
  }
}
