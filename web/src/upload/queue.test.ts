/** The queue with a transport of its own: orders of events into which no real server can be forced. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError, Unreachable } from "../api/client";
import type { Kept } from "./kept";
import type { Picked } from "./picked";
import { PutRefused } from "./put";
import { UploadQueue, type Parts } from "./queue";
import type { Transport } from "./transport";
import type { Stage } from "./upload";

// The session listens to other tabs, of which there are none here.
vi.hoisted(() => vi.stubGlobal("addEventListener", () => undefined));

const OWN = "tab";

/** Photos by digest, as the API would keep them. */
class Api implements Transport {
  photos = new Map<string, number>();
  trash = new Set<string>();
  pending = new Map<number, { sha256: string; put: boolean; key: string }>();
  puts: string[] = [];
  most = 0;
  private now = 0;
  private last = 0;
  faults: Partial<Record<"check" | "presign" | "put" | "confirm", () => unknown>> = {};

  async check(digests: string[]) {
    await this.faults.check?.();
    return digests.map((sha256) => {
      const photo_id = this.photos.get(sha256) ?? null;
      const status = photo_id === null ? "absent" : this.trash.has(sha256) ? "trashed" : "present";
      return { sha256, photo_id, status } as const;
    });
  }

  async presign(upload: { sha256: string | null; begun: string | null }) {
    await this.faults.presign?.();
    const known = this.photos.get(upload.sha256!);
    if (known !== undefined) return { photo_id: known, upload_url: null, upload_headers: {}, duplicate: true };
    const same = [...this.pending].find(([, one]) => one.key === upload.begun);
    const photo_id = same?.[0] ?? ++this.last;
    this.pending.set(photo_id, { sha256: upload.sha256!, put: false, key: upload.begun! });
    return { photo_id, upload_url: String(photo_id), upload_headers: {}, duplicate: false };
  }

  async put(url: string, _: Record<string, string>, blob: Blob, progress: (sent: number) => void, signal: AbortSignal) {
    this.most = Math.max(this.most, ++this.now);
    try {
      progress(1);
      await new Promise((resolve, reject) => {
        setTimeout(resolve, 5);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
      progress(blob.size);
      this.puts.push(url);
      this.pending.get(Number(url))!.put = true;
      await this.faults.put?.();
    } finally {
      this.now--;
    }
  }

  async confirm(photo_id: number) {
    await this.faults.confirm?.();
    const one = this.pending.get(photo_id);
    if (!one) throw refusal(404, "not_found");
    if (!one.put) throw refusal(409, "not_uploaded");
    const known = this.photos.get(one.sha256);
    if (known !== undefined) return { photo_id: known, duplicate: known !== photo_id };
    this.photos.set(one.sha256, photo_id);
    return { photo_id, duplicate: false };
  }

  async cancel(photo_id: number) {
    this.pending.delete(photo_id);
  }

  async room() {
    return { used_bytes: 1, quota_bytes: 2 };
  }
}

function refusal(status: number, code: string, retryAfter = 0): ApiError {
  return new ApiError(status, code, "", "", retryAfter);
}

function once(error: Error): () => void {
  let left = 1;
  return () => {
    if (left-- > 0) throw error;
  };
}

/** The page ends before the answer comes. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

class Disk implements Pick<Parts["kept"], "unfinished"> {
  entries = new Map<string, Kept>();
  unfinished = async (account: string) => [...this.entries.values()].filter((one) => one.account === account && !one.done);
  get = async (account: string, id: string) => this.entries.get(account + id) ?? null;
  put = (kept: Kept) => void this.entries.set(kept.account + kept.id, { ...kept });
  remove = (account: string, id: string) => void this.entries.delete(account + id);
  flush = async () => undefined;
}

let hashed: string[] = [];

function queueOf(api: Api, disk = new Disk(), own = OWN, living = [own], account = "1"): UploadQueue {
  const hasher = {
    close: () => undefined,
    digest: async (file: Blob) => {
      hashed.push((file as File).name);
      return { sha256: await file.text(), accepted: true };
    },
  };
  const tabs = { own, alone: <T>(work: (living: ReadonlySet<string>) => Promise<T>) => work(new Set(living)) };
  return new UploadQueue(account, { transport: api, hasher, kept: disk, tabs });
}

function file(name: string, content = name, folder = "", modified = 5): Picked {
  return { name, folder, file: new File([content], name, { type: "image/jpeg", lastModified: modified }) };
}

function stages(queue: UploadQueue): Record<string, Stage> {
  return Object.fromEntries([...queue.uploads.values()].map((one) => [one.name, one.stage]));
}

async function idle(queue: UploadQueue): Promise<void> {
  for (let i = 0; i < 4_000 && queue.busy; i++) await vi.advanceTimersByTimeAsync(50);
  expect(queue.busy).toBe(false);
}

beforeEach(() => {
  vi.useFakeTimers();
  hashed = [];
});
afterEach(() => vi.useRealTimers());

test("files are sent three at a time, and equal ones once", async () => {
  const api = new Api();
  const queue = queueOf(api);
  const uploaded: number[] = [];
  queue.onUploaded = (photoId) => uploaded.push(photoId);
  await queue.add([file("copy.jpg", "a.jpg"), ...[..."abcdefgh"].map((name) => file(`${name}.jpg`))], null);
  await queue.add([file("a.jpg")], null);
  await idle(queue);
  expect(api.most).toBe(3);
  expect(api.puts.length).toBe(8);
  expect(queue.tally.files).toMatchObject({ done: 8, known: 1 });
  expect(new Set(uploaded)).toEqual(new Set(api.photos.values()));
});

test("what is there is not sent, and what is in the trash is restored", async () => {
  const api = new Api();
  api.photos.set("here", 77).set("thrown", 78);
  api.trash.add("thrown");
  const queue = queueOf(api);
  await queue.add([file("a.jpg", "here"), file("b.jpg", "thrown")], null);
  await idle(queue);
  expect(stages(queue)).toEqual({ "a.jpg": "known", "b.jpg": "restored" });
  expect(api.puts).toEqual([]);
});

test("a PUT whose answer was lost is confirmed, not sent again", async () => {
  const api = new Api();
  api.faults.put = once(new Unreachable("the store"));
  const queue = queueOf(api);
  await queue.add([file("a.jpg")], null);
  await idle(queue);
  expect(stages(queue)).toEqual({ "a.jpg": "done" });
  expect(api.puts.length).toBe(1);
});

test.each([
  ["a URL whose time is over", { put: once(new PutRefused(403)) }],
  ["an upload that has expired", { presign: once(refusal(409, "upload_expired")) }],
  ["another offset of the clock", { presign: once(refusal(422, "idempotency_key_reused")) }],
  ["too many at once", { presign: once(refusal(429, "too_many_uploads", 30)) }],
  ["a confirmation that got no answer", { confirm: once(new Unreachable("")) }],
  ["a busy server", { confirm: once(refusal(503, "overloaded")) }],
  ["other bytes than were announced", { confirm: once(refusal(409, "upload_mismatch")) }],
])("%s is nothing that anybody sees", async (_, faults) => {
  const api = new Api();
  api.faults = faults;
  const queue = queueOf(api);
  await queue.add([file("a.jpg"), file("b.jpg")], null);
  await idle(queue);
  expect(stages(queue)).toEqual({ "a.jpg": "done", "b.jpg": "done" });
});

test("while nobody answers, none is refused for it, and after half an hour all rest", async () => {
  const api = new Api();
  let away = true;
  api.faults.presign = () => {
    if (away) throw new Unreachable("");
  };
  const queue = queueOf(api);
  await queue.add(["a.jpg", "b.jpg", "c.jpg", "d.jpg"].map((name) => file(name)), null);
  await vi.advanceTimersByTimeAsync(20 * 60_000);
  expect(queue.tally.files.refused).toBe(0);
  expect(queue.holding.held).toBe(false);
  await vi.advanceTimersByTimeAsync(40 * 60_000);
  expect([...queue.holding.why]).toEqual(["trouble"]);
  away = false;
  queue.release("trouble");
  await idle(queue);
  expect(queue.tally.files.done).toBe(4);
});

test("a file that alone gets no answer is refused in the end", async () => {
  const api = new Api();
  const put = api.put.bind(api);
  api.put = async (url, headers, blob, progress, signal) => {
    if ((await blob.text()) === "bad.jpg") throw new Unreachable("");
    return await put(url, headers, blob, progress, signal);
  };
  const queue = queueOf(api);
  await queue.add([file("bad.jpg"), file("good.jpg")], null);
  await idle(queue);
  expect(stages(queue)).toEqual({ "bad.jpg": "refused", "good.jpg": "done" });
  queue.retry();
  await vi.advanceTimersByTimeAsync(100);
  expect(stages(queue)["bad.jpg"]).toBe("sending");
});

test("of files that have no room the larger ones are not even asked about", async () => {
  const api = new Api();
  let asked = 0;
  api.faults.presign = () => {
    asked++;
    throw refusal(413, "quota_exceeded");
  };
  const queue = queueOf(api);
  await queue.add(Array.from({ length: 100 }, (_, i) => file(`${i}.jpg`, `${i}`.padEnd(50))), null);
  await idle(queue);
  expect(queue.tally.files.refused).toBe(100);
  expect(asked).toBeLessThan(10);
  expect(queue.room).toEqual({ used_bytes: 1, quota_bytes: 2 });
});

test("paused files begin again, and a cancelled one does not", async () => {
  const api = new Api();
  const queue = queueOf(api);
  await queue.add([file("a.jpg"), file("b.jpg")], null);
  await vi.advanceTimersByTimeAsync(2);
  queue.hold("user");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(api.puts).toEqual([]);
  expect(api.pending.size).toBe(2);
  queue.cancel([...queue.uploads.keys()][0]!);
  expect([...api.pending.values()].map((one) => one.sha256)).toEqual(["b.jpg"]);
  queue.release("user");
  await idle(queue);
  expect(stages(queue)).toEqual({ "b.jpg": "done" });
  expect(queue.tally.bytes).toBe(5);
});

test.each(["user", null] as const)("of one that is cancelled before its presign is answered nothing stays (%s)", async (why) => {
  const api = new Api();
  const queue = queueOf(api);
  const presign = api.presign.bind(api);
  let asked = 0;
  api.presign = async (upload) => {
    const answer = await presign(upload);
    return ++asked === 1 ? never() : answer;
  };
  await queue.add([file("a.jpg")], null);
  await vi.advanceTimersByTimeAsync(100);
  expect([...api.pending.keys()]).toEqual([1]);
  if (why) queue.hold(why);
  queue.cancelAll();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(queue.uploads.size).toBe(0);
  expect([api.pending.size, asked]).toEqual([0, 2]);
});

test("one that was never begun is not begun to be given up", async () => {
  const api = new Api();
  const queue = queueOf(api);
  await queue.add([..."abcdef"].map((name) => file(`${name}.jpg`)), null);
  api.faults.presign = once(refusal(413, "quota_exceeded"));
  await vi.advanceTimersByTimeAsync(2);
  let asked = 0;
  api.faults.presign = () => void asked++;
  queue.cancelAll();
  queue.clear();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([api.pending.size, asked]).toEqual([0, 0]);
});

test("an upload whose time was over leaves its room before another is begun", async () => {
  const api = new Api();
  const queue = queueOf(api);
  await queue.add([file("a.jpg")], null);
  await vi.advanceTimersByTimeAsync(2);
  queue.hold("offline");
  await vi.advanceTimersByTimeAsync(1_000);
  expect([...api.pending.keys()]).toEqual([1]);
  const expired = once(refusal(409, "upload_expired"));
  api.faults.presign = () => {
    expired();
    if (api.pending.size > 0) throw refusal(413, "quota_exceeded");
  };
  queue.release("offline");
  await idle(queue);
  expect(stages(queue)).toEqual({ "a.jpg": "done" });
  expect([...api.pending.keys()]).toEqual([2]);
});

test("a file that changed since is no more listed when it is picked again", async () => {
  const queue = queueOf(new Api());
  const changed = [file("a.jpg"), file("b.jpg")];
  for (const one of changed) one.file!.text = () => Promise.reject(new Error("changed"));
  await queue.add(changed, null);
  await idle(queue);
  expect(stages(queue)).toEqual({ "a.jpg": "refused", "b.jpg": "refused" });
  await queue.add([file("a.jpg", "other", "", 6)], null);
  await idle(queue);
  expect([...queue.uploads.values()].map((one) => one.name + one.stage)).toEqual(["b.jpgrefused", "a.jpgdone"]);
});

test("a folder is walked no further than it can be sent", async () => {
  let walked = 0;
  function* folder(): Generator<Picked> {
    for (; walked < 50_000; walked++) yield file(`${walked}.jpg`);
  }
  const queue = queueOf(new Api());
  queue.hold("user");
  const added = queue.add(folder(), null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(walked).toBeLessThan(6_000);
  expect(queue.busy).toBe(true);
  queue.cancelAll();
  await added;
  expect(queue.busy).toBe(false);
});

test("the next page confirms what was sent, and asks for the other files", async () => {
  const api = new Api();
  const disk = new Disk();
  const first = queueOf(api, disk, "first");
  api.faults.confirm = never;
  await first.add([file("sent.jpg")], null);
  await vi.advanceTimersByTimeAsync(100);
  first.hold("user");
  await first.add([file("left.jpg", "left", "Jeju"), file("moved.jpg")], 7);
  await vi.advanceTimersByTimeAsync(1_000);
  api.faults = {};

  // Nobody else's, and not while the first page lives.
  for (const [living, account] of [[["first"], "1"], [["second"], "2"]] as const) {
    const other = queueOf(api, disk, "second", [...living], account);
    await other.restore();
    expect(other.uploads.size).toBe(0);
  }
  const second = queueOf(api, disk, "second");
  await second.restore();
  expect(stages(second)).toEqual({ "sent.jpg": "done", "left.jpg": "missing", "moved.jpg": "missing" });
  hashed = [];
  await second.add([file("left.jpg", "left"), file("sent.jpg"), file("moved.jpg", "moved.jpg", "", 6)], null);
  await idle(second);
  expect(second.tally.files.missing).toBe(1);
  expect([...second.uploads.values()].find((one) => one.name === "left.jpg")!.albumId).toBe(7);
  expect(hashed).not.toContain("sent.jpg");
});

test("a copy that has another time is known by its bytes", async () => {
  const api = new Api();
  const disk = new Disk();
  const first = queueOf(api, disk, "first");
  api.faults.presign = never;
  await first.add([file("a.jpg")], null);
  await vi.advanceTimersByTimeAsync(1_000);
  api.faults = {};
  const second = queueOf(api, disk, "second");
  await second.restore();
  await second.add([file("b.jpg", "a.jpg", "", 99)], null);
  await idle(second);
  expect(stages(second)).toEqual({ "b.jpg": "done" });
});

test("nothing more is asked once nobody is signed in, and the same one goes on", async () => {
  const api = new Api();
  api.faults.presign = once(refusal(401, "unauthenticated"));
  const queue = queueOf(api);
  await queue.add([file("a.jpg")], null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect([...queue.holding.why]).toEqual(["account"]);
  queue.release("account");
  await idle(queue);
  expect(stages(queue)).toEqual({ "a.jpg": "done" });
});

test("what is no image by its name is counted, not listed", async () => {
  const queue = queueOf(new Api());
  const names = ["a.mp4", "b.json", ".DS_Store", "Thumbs.db", "c.txt"];
  await queue.add(names.map((name) => ({ ...file(name), file: new File(["x"], name) })), null);
  expect(queue.uploads.size).toBe(0);
  expect(queue.leftOut).toMatchObject({ count: 3, names: ["a.mp4", "b.json", "c.txt"] });
});
