import { expect, test } from "vitest";
import { Selection } from "./selection.svelte";
import type { Shown } from "./shown";

/** Photos 10, 11, 12, … of which the first three are known until somebody asks. */
function list(count: number): Shown {
  const ids = Float64Array.from({ length: count }, (_, i) => (i < 3 ? 10 + i : 0));
  return {
    ids,
    find: (id: number) => ids.indexOf(id),
    know: (from: number, to: number) => {
      for (let i = from; i < to; i++) ids[i] = 10 + i;
      return Promise.resolve();
    },
  } as unknown as Shown;
}

test("a range goes from the photo that was picked last, forward and back, over what was not known", async () => {
  const [selection, photos] = [new Selection(), list(20)];
  selection.toggle(11);
  await selection.range(photos, 8);
  expect(selection.ids()).toEqual([11, 12, 13, 14, 15, 16, 17, 18]);
  await selection.range(photos, 0);
  expect(selection.has(10)).toBe(true);
  expect(selection.size).toBe(9);
});

test("without one before, a range begins where it is said, or is one photo", async () => {
  const [selection, photos] = [new Selection(), list(20)];
  await selection.range(photos, 5);
  expect(selection.ids()).toEqual([15]);
  selection.clear();
  await selection.range(photos, 2, 1);
  expect(selection.ids()).toEqual([11, 12]);
  // What was deleted is no begin of a range.
  selection.drop([11]);
  await selection.range(photos, 4, 3);
  expect(selection.ids()).toEqual([12, 13, 14]);
});

test("a photo that is not known yet can be picked", async () => {
  const [selection, photos] = [new Selection(), list(20)];
  await selection.toggleAt(photos, 7);
  expect(selection.has(17)).toBe(true);
  await selection.toggleAt(photos, 7);
  expect(selection.size).toBe(0);
});
