import { expect, test } from "vitest";
import { arrange, firstBelow, neighbour, rearrange, sectionOf } from "./geometry";

const measures = { width: 1000, target: 200, gap: 4, heading: 48 };

test("rows fill the width, but a section's last one", () => {
  const made = arrange([{ month: "2024-05", count: 7 }], new Float32Array(7).fill(1.5), measures);
  const rows = new Map<number, number[]>();
  made.top.forEach((top, i) => rows.set(top, [...(rows.get(top) ?? []), i]));
  const ends = [...rows.values()].map((row) => made.left[row.at(-1)!] + made.width[row.at(-1)!]);
  expect(ends.slice(0, -1).every((end) => Math.abs(end - 1000) < 0.01)).toBe(true);
  expect(ends.at(-1)).toBeLessThanOrEqual(1000);
  expect(made.total).toBeGreaterThan(made.top.at(-1)!);
});

test("each photo is in its section, below its heading, and found again by its place", () => {
  const counts = [1, 300, 2, 0, 57];
  const sections = counts.map((count, i) => ({ month: `2024-0${i + 1}`, count }));
  const ratios = Float32Array.from({ length: 360 }, (_, i) => [0, 0.01, 0.66, 1.5, 99][i % 5]);
  const made = arrange(sections, ratios, measures);
  for (let i = 0; i < 360; i++) {
    const section = sectionOf(made, i);
    expect(made.firsts[section]).toBeLessThanOrEqual(i);
    expect(made.firsts[section + 1]).toBeGreaterThan(i);
    expect(made.top[i]).toBeGreaterThanOrEqual(made.heads[section] + measures.heading);
    expect(made.top[firstBelow(made, made.top[i] + 1)]).toBe(made.top[i]);
    expect(made.left[i] + made.width[i]).toBeLessThanOrEqual(1000.01);
  }
});

test("a section that is laid out anew is where it would be if all were", () => {
  const sections = [30, 80, 45].map((count, i) => ({ month: `2024-0${i + 1}`, count }));
  const ratios = new Float32Array(155).fill(4 / 3);
  const made = arrange(sections, ratios, measures);
  for (let i = 30; i < 110; i++) ratios[i] = [0.7, 1.5, 1.8][i % 3];
  rearrange(made, 1, ratios, measures);
  const whole = arrange(sections, ratios, measures);
  expect(made.total).toBeCloseTo(whole.total, 3);
  made.top.forEach((top, i) => expect(top).toBeCloseTo(whole.top[i], 3));
  made.heads.forEach((head, i) => expect(head).toBeCloseTo(whole.heads[i], 3));
});

test("up and down go to the photo that is the nearest, over headings, and no further than there are photos", () => {
  const made = arrange([{ month: "2024-05", count: 12 }, { month: "2024-04", count: 12 }], new Float32Array(24).fill(1), measures);
  for (let i = 0; i < 24; i++) {
    const below = neighbour(made, i, true);
    if (made.top[i] === made.top[23]) expect(below).toBe(i);
    else expect(made.top[below]).toBeGreaterThan(made.top[i]);
    const rows = [...new Set(made.top)];
    const row = rows.indexOf(made.top[i]);
    const next = [...made.top.keys()].filter((k) => made.top[k] === rows[row + 1]);
    if (next.length > 0) {
      const away = (k: number): number => Math.abs(made.left[k] + made.width[k] / 2 - made.left[i] - made.width[i] / 2);
      expect(away(below)).toBe(Math.min(...next.map(away)));
    }
  }
  expect(neighbour(made, 2, false)).toBe(2);
});
