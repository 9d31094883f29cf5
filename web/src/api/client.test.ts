import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError, Unreachable, call } from "./client";

vi.mock("./session", () => ({
  accessToken: () => Promise.resolve("token"),
  RefreshRefused: class extends Error {},
  RefreshUnknown: class extends Error {},
}));

const JSON_TYPE = { "Content-Type": "application/json" };
let asked: number;

function answering(...answers: (() => Response)[]): void {
  vi.stubGlobal("fetch", () => Promise.resolve(answers[Math.min(asked++, answers.length - 1)]!()));
}

const whole = (): Response => new Response('{"a":1}', { headers: JSON_TYPE });

/** Half of it comes, and then the connection ends. */
function cut(): Response {
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode('{"a'));
      controller.error(new TypeError("network error"));
    },
  });
  return new Response(body, { headers: JSON_TYPE });
}

function tooMuch(after: number): Response {
  return new Response('{"code":"too_many"}', { status: 429, headers: { ...JSON_TYPE, "Retry-After": String(after) } });
}

beforeEach(() => {
  vi.useFakeTimers();
  asked = 0;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function asks(options = {}): Promise<unknown> {
  const answer = call("GET", "/x", options).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(120_000);
  return await answer;
}

test.each([["cut off", cut], ["too much at once", () => tooMuch(1)]])(
  "an answer that is %s is none, and is asked for again",
  async (_, broken) => {
    answering(broken, broken, whole);
    expect(await asks()).toEqual({ a: 1 });
    expect(asked).toBe(3);
  },
);

test("where nothing else comes it is said that nobody can be reached", async () => {
  answering(cut);
  expect(await asks()).toBeInstanceOf(Unreachable);
  expect(asked).toBe(6);
});

test("who has to wait for long, or signs in, is told so at once", async () => {
  answering(() => tooMuch(60));
  expect(await asks()).toBeInstanceOf(ApiError);
  answering(() => tooMuch(1));
  expect(await asks({ anonymous: true })).toBeInstanceOf(ApiError);
  expect(asked).toBe(2);
});

test("no content is an answer", async () => {
  answering(() => new Response(null, { status: 204 }));
  expect(await asks()).toBe(undefined);
});
