import { afterEach, beforeEach, expect, test, vi } from "vitest";

type Session = typeof import("./session");
type Client = typeof import("./client");

const HOUR = 3_600_000;
let session: Session;
let client: Client;
let kept: Map<string, string>;
/** What the server answers, request by request; what is no response is a network that fails. */
let answers: ((path: string, init: RequestInit) => Response | null)[];
let asked: string[];

function granted(name: string): { access_token: string; refresh_token: string; expires_in: number } {
  return { access_token: `access-${name}`, refresh_token: `refresh-${name}`, expires_in: 1800 };
}
const json = (body: unknown, status = 200) => () => new Response(JSON.stringify(body), { status });
const lost = () => null;

beforeEach(async () => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
  vi.resetModules();
  kept = new Map();
  answers = [];
  asked = [];
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("navigator", {});
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    const sent = new Headers(init.headers).get("Authorization") ?? (JSON.parse(init.body as string).refresh_token as string);
    asked.push(`${path.split("/").at(-1)} ${sent.replace("Bearer ", "")}`);
    const answer = answers.shift()!(path, init);
    if (answer === null) throw new TypeError("Failed to fetch");
    return answer;
  });
  session = await import("./session");
  client = await import("./client");
  session.keep(granted("1"));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  expect(answers).toEqual([]);
});

/** A request, however long its pauses are. */
async function me(): Promise<unknown> {
  const told = client.call("GET", "/me").catch((error: unknown) => error);
  for (let i = 0; i < 20; i++) await vi.advanceTimersByTimeAsync(10_000);
  return await told;
}

test("a token is used until shortly before its end, and several requests get one successor", async () => {
  vi.setSystemTime(Date.now() + 28 * 60_000);
  expect(await session.accessToken()).toBe("access-1");
  vi.setSystemTime(Date.now() + 60_000 + 1);
  answers = [json(granted("2"))];
  expect(await Promise.all([session.accessToken(), session.accessToken()])).toEqual(["access-2", "access-2"]);
});

test("a clock that jumps costs a refresh, and not the session", async () => {
  vi.setSystemTime(Date.now() - 5 * HOUR);
  answers = [json(granted("2")), json(granted("3"))];
  expect(await session.accessToken()).toBe("access-2");
  vi.setSystemTime(Date.now() + 24 * HOUR);
  expect(await session.accessToken()).toBe("access-3");
});

test("a refused token is refreshed, and the request sent again", async () => {
  answers = [json({}, 401), json(granted("2")), json("me")];
  expect(await me()).toBe("me");
  expect(asked).toEqual(["me access-1", "refresh refresh-1", "me access-2"]);
});

test("a refresh whose answer is lost is asked for again, and nobody is signed out", async () => {
  answers = [json({}, 401), lost, json({}, 503), () => new Response("half an answ"), json(granted("2")), json("me")];
  expect(await me()).toBe("me");
  expect(session.signedIn()).toBe(true);
});

test("while the network is away the session stays", async () => {
  vi.setSystemTime(Date.now() + HOUR);
  answers = Array(6).fill(lost);
  expect(await me()).toBeInstanceOf(client.Unreachable);
  expect(session.signedIn()).toBe(true);
  expect(session.whyLeft()).toBe(null);
});

test("401 alone ends it", async () => {
  answers = [json({}, 401), json({ code: "inactive_user", detail: "" }, 403)];
  expect(await me()).toMatchObject({ status: 403, code: "inactive_user" });
  expect(session.signedIn()).toBe(true);
  answers = [json({}, 401), json({}, 401)];
  expect(await me()).toMatchObject({ status: 401 });
  expect([session.signedIn(), session.whyLeft()]).toEqual([false, "ended"]);
});

test("what another tab kept meanwhile counts, whatever this tab is answered", async () => {
  const other = JSON.stringify({ access: "access-9", refresh: "refresh-9", at: Date.now(), expiresAt: Date.now() + HOUR });
  const overtaken = (status: number) => () => {
    kept.set("photo-api.session", other);
    return new Response(JSON.stringify(granted("2")), { status });
  };
  answers = [json({}, 401), overtaken(401), json("me")];
  expect(await me()).toBe("me");
  expect(asked.at(-1)).toBe("me access-9");

  const left = () => {
    kept.clear();
    return new Response(JSON.stringify(granted("3")));
  };
  answers = [json({}, 401), left];
  expect(await me()).toMatchObject({ status: 401 });
  expect(session.signedIn()).toBe(false);
});

test("a refusal after a lost answer says so", async () => {
  answers = [lost, json({ code: "wrong_password", detail: "" }, 400)];
  expect(await me()).toMatchObject({ repeated: true });
  answers = [json({}, 503), json({ code: "wrong_password", detail: "" }, 400)];
  expect(await me()).toMatchObject({ repeated: false });
});

test("without a place to keep them, tokens hold as long as the page", async () => {
  vi.stubGlobal("localStorage", undefined);
  session.keep({ ...granted("5"), access_token: `x.${btoa('{"sub":"7"}')}.y` });
  expect([session.signedIn(), session.whose()]).toEqual([true, "7"]);
  session.drop("out");
  expect(session.signedIn()).toBe(false);
});

test("what is no session is as good as none", () => {
  const whole = { access: "a.b.c", refresh: "r", at: 0, expiresAt: 1 };
  const odd = [{}, [], 42, true, "x", { ...whole, access: 1 }, { ...whole, refresh: "" }, { ...whole, access: "\u00e9" }, { ...whole, at: null }];
  for (const told of odd) {
    kept.set("photo-api.session", JSON.stringify(told));
    expect([told, session.signedIn()]).toEqual([told, false]);
  }
  kept.set("photo-api.session", JSON.stringify(whole));
  expect(session.signedIn()).toBe(true);
});

test("where nothing more can be written, what came last counts, until another tab writes", async () => {
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
    removeItem: (key: string) => kept.delete(key),
  });
  answers = [json({}, 401), json(granted("2")), json("me"), json("me")];
  expect([await me(), await me()]).toEqual(["me", "me"]);
  expect(asked.at(-1)).toBe("me access-2");
  kept.set("photo-api.session", JSON.stringify({ access: "access-9", refresh: "r", at: Date.now(), expiresAt: Date.now() + HOUR }));
  expect(await session.accessToken()).toBe("access-9");
});

test("a page of somebody else's network is no answer of the service", async () => {
  const page = (status: number) => () => new Response("<html>Room number, please", { status });
  answers = [page(200)];
  expect(await me()).toBeInstanceOf(client.Unreachable);
  answers = [page(403)];
  expect(await me()).toMatchObject({ status: 403, foreign: true });
  answers = [json({ code: "forbidden", detail: "" }, 403)];
  expect(await me()).toMatchObject({ status: 403, foreign: false });
  answers = [json(null, 400)];
  expect(await me()).toMatchObject({ status: 400, foreign: true });
});
