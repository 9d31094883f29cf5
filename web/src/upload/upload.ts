/** One file in the queue. */

import type { Kept } from "./kept";
import type { Picked } from "./picked";

/**
 * `ready`: waits to be sent. `done`, `known` (was there before) and `restored` (was in the trash) have
 * ended well. `missing` is known from an earlier page, and its file has to be picked again.
 */
export type Stage =
  | "waiting" | "hashing" | "ready" | "sending"
  | "done" | "known" | "restored"
  | "refused" | "missing"; // prettier-ignore

export interface Upload {
  id: string;
  name: string;
  folder: string;
  size: number;
  modified: number;
  albumId: number | null;
  stage: Stage;
  file: File | null;
  sha256: string | null;
  /** What the API said of the digest, if it was asked. */
  there: "absent" | "present" | "trashed" | null;
  /** The photo that has the same bytes, by that answer. */
  twin: number | null;
  /** Bytes of the PUT under way. */
  sent: number;
  /** The Idempotency-Key of an upload that was begun, and the photo that it is to become, or became. */
  begun: string | null;
  photoId: number | null;
  /** Whether its PUT had sent all bytes, so that the store may have them. */
  whole: boolean;
  /** Why it was refused: the API's code, or one of ours (reasons.ts). */
  problem: string;
  detail: string;
  stop: AbortController;
}

export const OVER: ReadonlySet<Stage> = new Set(["done", "known", "restored"]);
export const AHEAD: ReadonlySet<Stage> = new Set(["waiting", "hashing", "ready", "sending"]);

export function fromPicked({ name, folder, file }: Picked, albumId: number | null): Upload {
  const size = file?.size ?? 0;
  const modified = file?.lastModified ?? 0;
  const id = JSON.stringify([folder, name, size, modified, albumId]);
  return { ...fresh(), id, name, folder, size, modified, albumId, file };
}

export function fromKept(kept: Kept): Upload {
  const { id, name, folder, size, modified, albumId, sha256, begun, photoId, whole } = kept;
  return { ...fresh(), id, name, folder, size, modified, albumId, sha256, begun, photoId, whole, stage: "missing" };
}

export function toKept(upload: Upload, account: string, tab: string): Kept {
  const { id, name, folder, size, modified, albumId, sha256, begun, photoId, whole, stage } = upload;
  const done = OVER.has(stage) ? 1 : 0;
  const file = { id, name, folder, size, modified, albumId, sha256 };
  return { ...file, account, tab, begun, photoId, whole, done, at: Date.now() };
}

/** Refusals that would be the same at the next attempt, and are told once. */
const LASTING = new Set(["unsupported_type", "not_an_image", "empty", "too_large", "unreadable", "album_gone"]);

export function mayRetry({ stage, problem }: Upload): boolean {
  return stage === "refused" && !LASTING.has(problem);
}

function fresh(): Omit<Upload, "id" | "name" | "folder" | "size" | "modified" | "albumId"> {
  return {
    stage: "waiting",
    file: null,
    sha256: null,
    there: null,
    twin: null,
    sent: 0,
    begun: null,
    photoId: null,
    whole: false,
    problem: "",
    detail: "",
    stop: new AbortController(),
  };
}
