/** How many files are in which stage, how many bytes are through, and how fast. */

import { OVER, type Stage, type Upload } from "./upload";

const STAGES: Stage[] = ["waiting", "hashing", "ready", "sending", "done", "known", "restored", "refused", "missing"];

/** Milliseconds over which the rate is taken. */
const WINDOW = 10_000;

export class Tally {
  readonly files = Object.fromEntries(STAGES.map((stage) => [stage, 0])) as Record<Stage, number>;
  /** Of all files that are to be sent, or were. */
  bytes = 0;
  private through = 0;
  private under = new Map<Upload, number>();
  private samples: { at: number; bytes: number }[] = [];

  constructor(private readonly now: () => number = () => performance.now()) {}

  add(upload: Upload): void {
    this.files[upload.stage]++;
    if (counts(upload.stage)) this.bytes += upload.size;
    if (OVER.has(upload.stage)) this.through += upload.size;
  }

  remove(upload: Upload): void {
    this.under.delete(upload);
    this.files[upload.stage]--;
    if (counts(upload.stage)) this.bytes -= upload.size;
    if (OVER.has(upload.stage)) this.through -= upload.size;
  }

  move(upload: Upload, stage: Stage): void {
    this.remove(upload);
    upload.stage = stage;
    upload.sent = 0;
    this.add(upload);
  }

  /** What has ended well counts no more. */
  forgetOver(): void {
    for (const stage of OVER) this.files[stage] = 0;
    this.bytes -= this.through;
    this.through = 0;
  }

  progress(upload: Upload, sent: number): void {
    this.samples.push({ at: this.now(), bytes: Math.max(0, sent - upload.sent) });
    upload.sent = sent;
    this.under.set(upload, sent);
  }

  get bytesThrough(): number {
    let sum = this.through;
    for (const sent of this.under.values()) sum += sent;
    return sum;
  }

  /** Bytes a second, lately; 0 while nothing was sent. */
  get rate(): number {
    const now = this.now();
    this.samples = this.samples.filter((sample) => sample.at > now - WINDOW);
    if (this.samples.length === 0) return 0;
    const since = Math.max(1_000, now - this.samples[0]!.at);
    return (this.samples.reduce((sum, sample) => sum + sample.bytes, 0) / since) * 1_000;
  }

  /** Seconds until all is through, or null while nobody can say. */
  get left(): number | null {
    const rate = this.rate;
    return rate > 0 ? (this.bytes - this.bytesThrough) / rate : null;
  }

  get over(): number {
    return this.files.done + this.files.known + this.files.restored;
  }

  get ahead(): number {
    return this.files.waiting + this.files.hashing + this.files.ready + this.files.sending;
  }
}

function counts(stage: Stage): boolean {
  return stage !== "refused" && stage !== "missing";
}
