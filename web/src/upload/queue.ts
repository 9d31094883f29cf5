/**
 * The upload queue: files are hashed in a worker, asked about in batches, sent to the store, and
 * confirmed. Nothing here is reactive; `onChange` tells at most ten times a second that something is
 * another.
 *
 * What got no answer is tried again. Only an answer that says no ends a file as refused; while nobody
 * answers, all wait, and none is refused for it.
 */

import { pause } from "../api/client";
import type { Hasher } from "./hashing";
import { Holding, type Why } from "./holding";
import { judged } from "./judging";
import type { KeptUploads } from "./kept";
import { Missing, unreadableLike } from "./missing";
import type { Picked, Picks } from "./picked";
import { digest, LeftOut, Limits, lookUp, unfit } from "./reading";
import { giveUp, send } from "./sending";
import { Tally } from "./tally";
import type { Tabs } from "./tabs";
import type { Room, Transport } from "./transport";
import { AHEAD, fromKept, fromPicked, mayRetry, OVER, toKept, type Upload } from "./upload";

export interface Parts {
  transport: Transport;
  hasher: Pick<Hasher, "digest" | "close">;
  kept: Pick<KeptUploads, "unfinished" | "get" | "put" | "remove" | "flush">;
  tabs: Tabs;
}

const AT_ONCE = 3;
/** Files that wait; beyond them folders are walked no further. */
const MOST_AHEAD = 5_000;
const HASHED_AHEAD = 200;
const CHECKED_AT_ONCE = 200;
/** What has ended, in the list; the older ones are counted alone. */
const MOST_OVER = 5_000;
const MOST_REFUSED = 5_000;
const ATTEMPTS = 6;
const TOLD_EVERY = 100;

export class UploadQueue {
  readonly uploads = new Map<string, Upload>();
  readonly tally = new Tally();
  readonly holding = new Holding();
  readonly leftOut = new LeftOut();
  room: Room | null = null;
  walking = 0;
  onChange: () => void = () => undefined;
  onUploaded: (photoId: number, upload: Upload) => void = () => undefined;

  private walks = new AbortController();
  private hashing = false;
  private sending = 0;
  private unhashed: Upload[] = [];
  private ready: Upload[] = [];
  /** Digests of what is being sent, and the files of the same bytes that wait for its end. */
  private underWay = new Map<string, Upload[]>();
  private missing = new Missing();
  private over: string[] = [];
  private limits = new Limits();
  private successes = 0;
  private told: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly account: string,
    private readonly parts: Parts,
  ) {}

  /** Takes over what pages left behind that are gone. What of it was sent already is confirmed; the
   * files of the rest have to be picked again. */
  async restore(): Promise<void> {
    const { kept, tabs } = this.parts;
    await tabs.alone(async (living) => {
      for (const one of await kept.unfinished(this.account)) {
        if (living.has(one.tab) || this.uploads.has(one.id)) continue;
        const upload = fromKept(one);
        this.uploads.set(upload.id, upload);
        this.missing.add(upload);
        this.tally.add(upload);
        kept.put({ ...one, tab: tabs.own });
      }
      await kept.flush();
    });
    this.tell();
    await this.confirmMissing();
  }

  /** Ends when all is taken in, which for a large folder is when most of it is through. */
  async add(picks: Picks, albumId: number | null): Promise<void> {
    const { signal } = this.walks;
    this.walking++;
    this.tell();
    try {
      let since = performance.now();
      for await (const picked of picks) {
        if (signal.aborted) return;
        await this.take(picked, albumId);
        while (this.tally.ahead >= MOST_AHEAD) await pause(100, signal);
        if (performance.now() - since < 10) continue;
        await pause(0, signal);
        since = performance.now();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.walking--;
      this.tell();
    }
  }

  hold(why: Why): void {
    this.holding.hold(why);
    this.tell();
  }

  release(why: Why): void {
    if (this.holding.release(why)) this.go();
  }

  /** One or all that another attempt may help. */
  retry(id?: string): void {
    this.limits.forget();
    this.holding.goOn();
    for (const upload of id === undefined ? this.uploads.values() : [this.uploads.get(id)]) {
      if (upload && mayRetry(upload)) this.queue(upload);
    }
  }

  /** Gives one up, whatever its stage; what is uploaded stays. */
  cancel(id: string): void {
    const upload = this.uploads.get(id);
    if (!upload) return;
    this.drop(upload);
    upload.stop.abort(new DOMException("cancelled", "AbortError"));
    const over = OVER.has(upload.stage);
    if (!over) this.parts.kept.remove(this.account, id);
    if (!over) void giveUp(upload, this.parts.transport, this.holding.signal);
    this.go();
  }

  /** Gives up all that is not uploaded yet, and what folders still hold. */
  cancelAll(): void {
    this.walks.abort(new DOMException("cancelled", "AbortError"));
    this.walks = new AbortController();
    for (const [id, upload] of this.uploads) if (AHEAD.has(upload.stage)) this.cancel(id);
  }

  /** Forgets what earlier pages left. */
  forgetMissing(): void {
    for (const upload of this.missing.all()) this.cancel(upload.id);
  }

  /** Shows no more what has ended, one way or the other. */
  clear(): void {
    for (const [id, upload] of this.uploads) {
      if (upload.stage === "refused") this.cancel(id);
      else if (OVER.has(upload.stage)) this.uploads.delete(id);
    }
    this.over = [];
    this.tally.forgetOver();
    this.leftOut.forget();
    this.tell();
  }

  close(): void {
    this.walks.abort(new DOMException("closed", "AbortError"));
    this.hold("account");
    this.parts.hasher.close();
    void this.parts.kept.flush();
  }

  /** Whether leaving the page would stop something. */
  get busy(): boolean {
    return this.tally.ahead > 0 || this.walking > 0;
  }

  private async take(picked: Picked, albumId: number | null): Promise<void> {
    if (this.leftOut.takes(picked)) return;
    const upload = fromPicked(picked, albumId);
    const kept = await this.parts.kept.get(this.account, upload.id);
    const before = this.uploads.get(upload.id) ?? this.missing.like(upload);
    if (before && AHEAD.has(before.stage)) return;
    if (before) this.resume(upload, before);
    for (const { id } of unreadableLike(upload, this.uploads.values())) this.cancel(id);
    upload.sha256 ??= kept?.sha256 ?? null;
    this.uploads.set(upload.id, upload);
    this.tally.add(upload);
    const problem = unfit(upload);
    if (problem) this.refuse(upload, problem, "");
    else if (!this.beyond(upload, "too_large")) this.queue(upload);
  }

  private resume(upload: Upload, before: Upload): void {
    const { id, folder, albumId, sha256, begun, photoId, whole } = before;
    const open = before.stage === "missing";
    Object.assign(upload, open ? { id, folder, albumId, sha256, begun, photoId, whole } : { sha256 });
    this.drop(before);
  }

  private go(): void {
    this.tell();
    if (this.holding.held) return;
    void this.hashSome();
    while (this.sending < AT_ONCE) {
      const next = this.next();
      if (!next) break;
      this.sending++;
      void this.work(next).finally(() => {
        this.sending--;
        this.go();
      });
    }
  }

  private next(): Upload | undefined {
    for (;;) {
      const next = this.ready.shift();
      if (!next) return undefined;
      if (!this.holdsStill(next) || next.stage !== "ready") continue;
      if (next.there === "absent" && this.beyond(next, "quota_exceeded")) continue;
      const twins = next.sha256 === null ? undefined : this.underWay.get(next.sha256);
      if (!twins) return next;
      twins.push(next);
    }
  }

  private queue(upload: Upload, first = false): void {
    const hashed = upload.there !== null;
    this.tally.move(upload, hashed ? "ready" : "waiting");
    Object.assign(upload, { problem: "", detail: "" });
    const line = hashed ? this.ready : this.unhashed;
    if (first) line.unshift(upload);
    else line.push(upload);
    this.note(upload);
    this.go();
  }

  private async hashSome(): Promise<void> {
    if (this.hashing) return;
    this.hashing = true;
    try {
      // Asked at once after each batch: what comes while this ends is left to nobody.
      while (!this.holding.held && this.unhashed.length > 0 && this.ready.length < HASHED_AHEAD) {
        await this.check(await this.hashBatch());
      }
    } finally {
      this.hashing = false;
    }
  }

  private async hashBatch(): Promise<Upload[]> {
    const batch: Upload[] = [];
    const until = performance.now() + 500;
    while (!this.holding.held && batch.length < CHECKED_AT_ONCE && (batch.length === 0 || performance.now() < until)) {
      const next = this.unhashed.shift();
      if (!next) break;
      if (!this.holdsStill(next)) continue;
      this.tally.move(next, "hashing");
      this.tell();
      const problem = await digest(next, this.parts.hasher);
      if (!this.holdsStill(next)) continue;
      if (problem) this.refuse(next, problem, "");
      else batch.push(next);
    }
    return batch;
  }

  /** Sets what the API has already as known, before a byte is sent. */
  private async check(batch: Upload[]): Promise<void> {
    await lookUp(batch, this.parts.transport, this.holding.signal);
    for (const upload of batch) {
      if (!this.holdsStill(upload)) continue;
      // Into an album it is put by the presign.
      const known = upload.there === "present" && upload.albumId === null;
      if (known) this.end(upload, "known", upload.twin!);
      else this.queue(upload);
    }
  }

  private async work(upload: Upload): Promise<void> {
    const { sha256 } = upload;
    if (sha256 !== null) this.underWay.set(sha256, []);
    this.tally.move(upload, "sending");
    try {
      await this.attempts(upload, AbortSignal.any([this.holding.signal, upload.stop.signal]));
    } finally {
      if (sha256 !== null) {
        this.ready.unshift(...(this.underWay.get(sha256) ?? []));
        this.underWay.delete(sha256);
      }
    }
  }

  private async attempts(upload: Upload, signal: AbortSignal): Promise<void> {
    const { transport } = this.parts;
    const before = this.successes;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.holding.open(signal);
        const progress = (sent: number): void => (this.tally.progress(upload, sent), this.tell());
        const ended = await send(upload, transport, signal, progress, (now) => this.note(upload, now));
        if (!this.holdsStill(upload)) return;
        this.holding.answered();
        this.successes++;
        return this.end(upload, ended.stage, ended.photoId);
      } catch (error) {
        if (!this.holdsStill(upload)) return;
        if (signal.aborted) return this.queue(upload, true);
        const judgement = judged(error);
        if (judgement.kind === "refused") {
          if (judgement.code === "quota_exceeded") void this.readRoom();
          return this.refuse(upload, judgement.code, judgement.detail);
        }
        this.tally.move(upload, "sending");
        if (judgement.kind === "wait") attempt--;
        // A way that others find free is no excuse.
        const alone = judgement.kind === "again" || this.successes > before;
        if (attempt >= ATTEMPTS && alone && "code" in judgement) return this.refuse(upload, judgement.code, "");
        await this.holding.after(judgement, attempt, signal).catch(() => undefined);
        if (signal.aborted && this.holdsStill(upload)) return this.queue(upload, true);
      }
    }
  }

  private async confirmMissing(): Promise<void> {
    for (const upload of this.missing.all()) {
      if (upload.photoId === null || !upload.whole || !this.holdsStill(upload) || this.holding.held) continue;
      try {
        const { photo_id, duplicate } = await this.parts.transport.confirm(upload.photoId, this.holding.signal);
        if (this.holdsStill(upload)) this.end(upload, duplicate ? "known" : "done", photo_id);
      } catch {
        // Not there yet, or nobody answers: it is asked once more when the file comes again.
      }
    }
  }

  /** Whether its size was refused before; then it is refused the same way, without being asked. */
  private beyond(upload: Upload, code: string): boolean {
    const detail = this.limits.refusal(code, upload.size);
    if (detail !== null) this.refuse(upload, code, detail);
    return detail !== null;
  }

  private end(upload: Upload, stage: "done" | "known" | "restored", photoId: number): void {
    this.missing.remove(upload);
    const same = this.missing.sameBytes(upload);
    if (same) this.cancel(same.id);
    this.tally.move(upload, stage);
    Object.assign(upload, { photoId, file: null, begun: null });
    this.note(upload);
    this.over.push(upload.id);
    if (this.over.length > MOST_OVER) this.uploads.delete(this.over.shift()!);
    this.onUploaded(photoId, upload);
    this.tell();
  }

  private refuse(upload: Upload, code: string, detail: string): void {
    this.tally.move(upload, "refused");
    Object.assign(upload, { problem: code, detail });
    this.limits.note(code, upload.size, detail);
    if (!mayRetry(upload)) this.parts.kept.remove(this.account, upload.id);
    if (this.tally.files.refused > MOST_REFUSED) this.cancel(firstRefused(this.uploads));
    this.tell();
  }

  private async readRoom(): Promise<void> {
    this.room = await this.parts.transport.room().catch(() => this.room);
    this.tell();
  }

  private drop(upload: Upload): void {
    this.uploads.delete(upload.id);
    this.missing.remove(upload);
    this.tally.remove(upload);
    this.tell();
  }

  private holdsStill(upload: Upload): boolean {
    return this.uploads.get(upload.id) === upload;
  }

  private note(upload: Upload, now = false): void {
    this.parts.kept.put(toKept(upload, this.account, this.parts.tabs.own));
    if (now) void this.parts.kept.flush();
  }

  private tell(): void {
    this.told ??= setTimeout(() => {
      this.told = undefined;
      this.onChange();
    }, TOLD_EVERY);
  }
}

function firstRefused(uploads: Map<string, Upload>): string {
  for (const [id, upload] of uploads) if (upload.stage === "refused") return id;
  return "";
}
