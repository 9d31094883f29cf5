import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { part } from "./part";

vi.mock("./upload/offer", () => ({ unfinishedUploads: () => 0 }));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function failing(times: number): () => Promise<string> {
  let left = times;
  return async () => {
    if (left-- > 0) throw new TypeError("Failed to fetch dynamically imported module");
    return "part";
  };
}

test("a part that another instance has is found", async () => {
  const leave = vi.fn();
  const found = part(failing(3), { may: () => true, leave });
  await vi.runAllTimersAsync();
  expect(await found).toBe("part");
  expect(leave).not.toHaveBeenCalled();
});

test("a part that nobody has lets the page be loaded anew, where that loses nothing", async () => {
  const leave = vi.fn();
  let ended = false;
  void part(failing(99), { may: () => true, leave }).finally(() => (ended = true));
  await vi.runAllTimersAsync();
  expect([leave.mock.calls.length, ended]).toEqual([1, false]);
  const refused = expect(part(failing(99), { may: () => false, leave })).rejects.toThrow("fetch");
  await vi.runAllTimersAsync();
  await refused;
  expect(leave).toHaveBeenCalledTimes(1);
});
