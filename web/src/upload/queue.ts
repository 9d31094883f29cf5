/**
 * The upload queue: files are hashed in a worker, asked about in batches, sent to the store, and
 * confirmed. Nothing here is reactive; `onChange` tells at most ten times a second that something is
 * another.
 *
 * What got no answer is tried again: a presign is repeated as a whole, a PUT goes to a URL that names
 * the same bytes, a confirm may be repeated. Only an answer that says no ends a file as refused.
 */

import { ApiError, call, pause } from "../api/client";
import { Hasher } from "./hashing";
import { KeptUploads, type Kept } from "./kept";
import { mayBeImage, type Picked } from "./picked";
import { PutRefused, put } from "./put";

export type Stage = "waiting" | "hashing" | "ready" | "sending" | "done" | "known" | "refused" | "missing";

export interface Upload extends Kept {
  stage: Stage;
  file: File | null;
  sent: number;
  photoId: number | null;
  /** The API's code, or "network", "unreadable", "not_an_image". */
  problem: string;
  detail: string;
}

interface Presigned {
  photo_id: number;
  upload_url: string | null;
  upload_headers: Record<string, string>;
  duplicate: boolean;
}

type Verdict = { sha256: string; state: "absent" | "present" | "trashed"; photo_id: number | null };

const AT_ONCE = 3;
const HASHED_AHEAD = 200;
const CHECKED_AT_ONCE = 200;
const ATTEMPTS = 8;
const TOLD_EVERY = 100;

export class UploadQueue {
  readonly uploads = new Map<string, Upload>();
  paused = false;
  onChange: () => void = () => undefined;
  onUploaded: (upload: Upload) => void = () => undefined;

  private hasher = new Hasher();
  private kept = new KeptUploads();
  private stop = new AbortController();
  private hashing = false;
  private sending = 0;
  private unhashed: Upload[] = [];
  private ready: Upload[] = [];
  private told = 0;
  private recent: { at: number; bytes: number }[] = [];

  /** What an earlier page left behind; their files have to be picked again. */
  async restore(): Promise<void> {
    for (const kept of await this.kept.all()) this.uploads.set(kept.id, fresh(kept, null, "missing"));
    this.tell();
  }

  async add(picked: AsyncIterable<Picked>, albumId: number | null): Promise<void> {
    for await (const { file, folder } of picked) {
      const id = [folder, file.name, file.size, file.lastModified, albumId ?? ""].join("|");
      const known = this.uploads.get(id);
      if (known && known.stage !== "missing" && known.stage !== "refused") continue;
      const kept = known ?? { id, name: file.name, folder, size: file.size, modified: file.lastModified, sha256: null, albumId };
      const upload = fresh(kept, file, "waiting");
      this.uploads.set(id, upload);
      if (!mayBeImage(file) || file.size === 0) this.refuse(upload, "not_an_image", "");
      else this.queue(upload);
    }
  }

  pause(): void {
    this.paused = true;
    this.stop.abort(new DOMException("paused", "AbortError"));
    this.stop = new AbortController();
    this.tell();
  }

  resume(): void {
    this.paused = false;
    this.go();
  }

  retry(): void {
    for (const upload of this.uploads.values()) {
      if (upload.stage === "refused" && upload.file) {
        Object.assign(upload, { problem: "", detail: "", sent: 0 });
        this.queue(upload);
      }
    }
  }

  /** Forgets what has ended, and with `all` everything that is not under way. */
  clear(all = false): void {
    for (const [id, upload] of this.uploads) {
      const over = upload.stage === "done" || upload.stage === "known";
      if (!over && (!all || upload.stage === "sending" || upload.stage === "hashing")) continue;
      this.uploads.delete(id);
      void this.kept.remove(id);
    }
    this.tell();
  }

  /** Whether leaving the page would stop something. */
  get busy(): boolean {
    return this.sending > 0 || this.hashing || this.ready.length > 0 || this.unhashed.length > 0;
  }

  /** Bytes a second over the last seconds. */
  get rate(): number {
    const since = performance.now() - 5_000;
    this.recent = this.recent.filter((one) => one.at > since);
    return this.recent.reduce((sum, one) => sum + one.bytes, 0) / 5;
  }

  private go(): void {
    this.tell();
    if (this.paused) return;
    void this.hashSome();
    while (this.sending < AT_ONCE) {
      const next = this.ready.shift();
      if (!next) break;
      if (!this.uploads.has(next.id)) continue;
      this.sending++;
      next.stage = "sending";
      void this.send(next).finally(() => {
        this.sending--;
        this.go();
      });
    }
  }

  private queue(upload: Upload): void {
    void this.kept.put(plain(upload));
    upload.stage = upload.sha256 === null ? "waiting" : "ready";
    (upload.sha256 === null ? this.unhashed : this.ready).push(upload);
    this.go();
  }

  private async hashSome(): Promise<void> {
    if (this.hashing) return;
    this.hashing = true;
    try {
      for (;;) {
        const batch = await this.hashBatch();
        if (batch.length === 0) return;
        await this.check(batch);
        this.go();
      }
    } finally {
      this.hashing = false;
    }
  }

  private async hashBatch(): Promise<Upload[]> {
    const batch: Upload[] = [];
    if (this.ready.length >= HASHED_AHEAD) return batch;
    const until = performance.now() + 500;
    while (!this.paused && batch.length < CHECKED_AT_ONCE && (batch.length === 0 || performance.now() < until)) {
      const next = this.unhashed.shift();
      if (!next) break;
      if (!this.uploads.has(next.id)) continue;
      next.stage = "hashing";
      this.tell();
      try {
        next.sha256 ??= await this.hasher.digest(next.file!);
        batch.push(next);
      } catch {
        this.refuse(next, "unreadable", "");
      }
    }
    return batch;
  }

  /** Sets what the API has already as known, before a byte is sent. Without an answer all are sent:
   * presign finds duplicates too. */
  private async check(batch: Upload[]): Promise<void> {
    let verdicts: Verdict[] = [];
    try {
      const hashes = batch.map((one) => one.sha256);
      verdicts = (await call<{ results: Verdict[] }>("POST", "/photos/check", { body: { sha256: hashes } })).results;
    } catch {
      // Unknown, not absent.
    }
    const present = new Map(verdicts.filter((one) => one.state === "present").map((one) => [one.sha256, one]));
    for (const upload of batch) {
      const known = upload.albumId === null ? present.get(upload.sha256!) : undefined;
      if (known) this.end(upload, "known", known.photo_id);
      else this.queue(upload);
    }
  }

  private async send(upload: Upload): Promise<void> {
    const signal = this.stop.signal;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.sendOnce(upload, signal);
        return;
      } catch (error) {
        upload.sent = 0;
        if (signal.aborted) return this.queue(upload);
        if (error instanceof ApiError && !passing(error)) return this.refuse(upload, error.code, error.detail);
        if (error instanceof DOMException && error.name === "NotReadableError") return this.refuse(upload, "unreadable", "");
        if (attempt === ATTEMPTS) return this.refuse(upload, error instanceof PutRefused ? "store_refused" : "network", "");
        await pause(Math.min(500 * 2 ** attempt, 20_000) * (0.75 + Math.random() / 2), signal).catch(() => undefined);
      }
    }
  }

  private async sendOnce(upload: Upload, signal: AbortSignal): Promise<void> {
    const file = upload.file!;
    const presigned = await call<Presigned>("POST", "/photos/presigned-url", {
      idempotent: true,
      signal,
      body: {
        ...(upload.albumId === null ? {} : { album_id: upload.albumId }),
        filename: upload.name,
        content_type: file.type,
        file_size: upload.size,
        file_modified_at: new Date(upload.modified).toISOString(),
        sha256: upload.sha256,
        on_duplicate: "reuse",
      },
    });
    if (presigned.duplicate) return this.end(upload, "known", presigned.photo_id);
    await put(presigned.upload_url!, presigned.upload_headers, file, (sent) => this.progress(upload, sent), signal);
    const confirmed = await call<{ photo_id: number; duplicate: boolean }>("POST", "/photos/confirm", {
      body: { photo_id: presigned.photo_id },
    });
    this.end(upload, confirmed.duplicate ? "known" : "done", confirmed.photo_id);
  }

  private progress(upload: Upload, sent: number): void {
    this.recent.push({ at: performance.now(), bytes: Math.max(0, sent - upload.sent) });
    upload.sent = sent;
    this.tell();
  }

  private end(upload: Upload, stage: "done" | "known", photoId: number | null): void {
    Object.assign(upload, { stage, photoId, sent: upload.size, file: null });
    void this.kept.remove(upload.id);
    this.onUploaded(upload);
    this.tell();
  }

  private refuse(upload: Upload, problem: string, detail: string): void {
    Object.assign(upload, { stage: "refused", problem, detail });
    if (problem !== "network" && problem !== "store_refused") void this.kept.remove(upload.id);
    this.tell();
  }

  private tell(): void {
    if (this.told) return;
    this.told = window.setTimeout(() => {
      this.told = 0;
      this.onChange();
    }, TOLD_EVERY);
  }
}

const LATER = new Set(["not_uploaded", "upload_expired", "request_in_progress"]);

/** A later attempt may end otherwise: too many at once, an upload that the store has not seen yet. */
function passing(error: ApiError): boolean {
  return error.status === 429 || error.status >= 500 || LATER.has(error.code);
}

function fresh(kept: Kept, file: File | null, stage: Stage): Upload {
  return { ...plain(kept), stage, file, sent: 0, photoId: null, problem: "", detail: "" };
}

function plain(kept: Kept): Kept {
  const { id, name, folder, size, modified, sha256, albumId } = kept;
  return { id, name, folder, size, modified, sha256, albumId };
}
