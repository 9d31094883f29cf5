/** What is found out of a file before any of its bytes is sent. */

import { declaredType, kindOf } from "./formats";
import type { Hasher } from "./hashing";
import type { Picked } from "./picked";
import type { Transport } from "./transport";
import type { Upload } from "./upload";

/** Why a file need not even be read, or "". */
export function unfit({ file, name, size }: Upload): string {
  if (!file) return "unreadable";
  if (size === 0) return "empty";
  return declaredType(name, file.type) === null ? "unsupported_type" : "";
}

/** Gives it its digest; why it is not to be sent, or "". */
export async function digest(upload: Upload, hasher: Pick<Hasher, "digest">): Promise<string> {
  if (upload.sha256 !== null) return "";
  try {
    const told = await hasher.digest(upload.file!);
    upload.sha256 = told.sha256;
    return told.accepted ? "" : "not_an_image";
  } catch {
    return "unreadable";
  }
}

/** Gives each what the API has of its bytes. Without an answer that is unknown, which is taken for
 * absent: the presign finds duplicates too. */
export async function lookUp(batch: Upload[], transport: Transport, signal: AbortSignal): Promise<void> {
  const digests = [...new Set(batch.flatMap((upload) => upload.sha256 ?? []))];
  let verdicts: Awaited<ReturnType<Transport["check"]>> = [];
  try {
    if (digests.length > 0) verdicts = await transport.check(digests, signal);
  } catch {
    // Unknown, not absent.
  }
  const told = new Map(verdicts.map((verdict) => [verdict.sha256, verdict]));
  for (const upload of batch) {
    const verdict = told.get(upload.sha256 ?? "");
    upload.there = verdict?.status ?? "absent";
    upload.twin = verdict?.photo_id ?? null;
  }
}

/** Sizes from which files were refused, by the reason: the larger ones need not be tried. */
export class Limits {
  private known = new Map<string, { size: number; detail: string }>();

  note(code: string, size: number, detail: string): void {
    if (code !== "too_large" && code !== "quota_exceeded") return;
    if (size < (this.known.get(code)?.size ?? Infinity)) this.known.set(code, { size, detail });
  }

  /** What the API said, or null if such a size may do. */
  refusal(code: string, size: number): string | null {
    const limit = this.known.get(code);
    return limit && size >= limit.size ? limit.detail : null;
  }

  forget(): void {
    this.known.clear();
  }
}

/** Names of what was left out that are told. */
const MOST_NAMES = 5;

/** Files that are no images. */
export class LeftOut {
  count = 0;
  names: string[] = [];

  /** Whether it is one of these, or nothing to speak of. */
  takes({ name, file }: Picked): boolean {
    const kind = kindOf(name, file?.type ?? "");
    if (kind === "clutter") return true;
    if (kind === "image" || !file) return false;
    if (this.count++ < MOST_NAMES) this.names.push(name);
    return true;
  }

  forget(): void {
    this.count = 0;
    this.names = [];
  }
}
