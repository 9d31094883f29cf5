/** When all uploads wait: by somebody's wish, or until somebody answers again. */

import { pause } from "../api/client";
import type { Judgement } from "./judging";

/** Somebody's wish, no network, nobody who answers for long, nobody signed in. */
export type Why = "user" | "offline" | "trouble" | "account";

/** Failures in a row, with up to a minute between them: about half an hour. */
const MOST_TROUBLES = 35;
/** Seconds; the API's word is not taken for more. */
const LONGEST_WAIT = 600;

export class Holding {
  readonly why = new Set<Why>();
  /** When those that nobody answered try again, in milliseconds of a clock that nobody puts back. */
  until = 0;
  private stop = new AbortController();
  private troubles = 0;

  /** Aborted when all are held from now on. */
  get signal(): AbortSignal {
    return this.stop.signal;
  }

  get held(): boolean {
    return this.why.size > 0;
  }

  hold(why: Why): void {
    this.why.add(why);
    this.stop.abort(new DOMException("held", "AbortError"));
    this.stop = new AbortController();
  }

  release(why: Why): boolean {
    if (!this.why.delete(why)) return false;
    this.goOn();
    return true;
  }

  /** Nobody waits for a time any more. */
  goOn(): void {
    this.troubles = 0;
    this.until = 0;
  }

  answered(): void {
    this.troubles = 0;
  }

  /** What a failure of one means for when it, or all, try again. */
  async after(judgement: Judgement, attempt: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    if (judgement.kind === "account") this.hold("account");
    if (judgement.kind === "wait") {
      this.until = Math.max(this.until, now + Math.min(judgement.seconds, LONGEST_WAIT) * 1_000);
    }
    if (judgement.kind === "again") await pause(backoff(attempt), signal);
    // Of those that failed at the same time one counts.
    if (judgement.kind !== "trouble" || now < this.until) return;
    this.until = now + backoff(++this.troubles);
    if (this.troubles > MOST_TROUBLES) this.hold("trouble");
  }

  async open(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const left = this.until - performance.now();
      if (left <= 0) return;
      // By small steps: it may be over at once.
      await pause(Math.min(left, 500), signal);
    }
  }
}

/** Milliseconds, up to a minute. */
function backoff(attempt: number): number {
  return Math.min(500 * 2 ** attempt, 60_000) * (0.75 + Math.random() / 2);
}
