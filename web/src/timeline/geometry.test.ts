import { expect, test } from "vitest";
import { arrange, firstBelow, sectionOf } from "./geometry";

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
