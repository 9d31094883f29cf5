/**
 * One upload from its presign to its confirmation, each step such that it may be done again: a presign
 * with the same key is the same upload, a PUT goes to the same place, a confirmation may be repeated.
 * What a step that was interrupted has become is asked, not guessed.
 */

import { ApiError, Unreachable } from "../api/client";
import { PutRefused } from "./put";
import type { Transport } from "./transport";
import { AHEAD, type Upload } from "./upload";

export interface Ended {
  stage: "done" | "known" | "restored";
  photoId: number;
}

/** The API said no; `code` is its own or one of reasons.ts. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    detail = "",
  ) {
    super(detail);
  }
}

/** Something passing: it is worth another attempt, of this file alone. */
export class Again extends Error {}

/** Tells how `upload` changed, so that it is kept. */
export type Noted = (now: boolean) => void;

export async function send(
  upload: Upload,
  transport: Transport,
  signal: AbortSignal,
  progress: (sent: number) => void,
  noted: Noted,
): Promise<Ended> {
  if (upload.photoId !== null && upload.whole) {
    const ended = await confirmed(upload, transport, signal, noted);
    if (ended) return ended;
  }
  if (upload.begun === null) {
    upload.begun = randomKey();
    noted(false);
  }
  const presigned = await presign(upload, transport, signal, noted);
  if (presigned.duplicate) {
    return { stage: upload.there === "trashed" ? "restored" : "known", photoId: presigned.photo_id };
  }
  Object.assign(upload, { photoId: presigned.photo_id, whole: false });
  noted(true);
  const sent = (bytes: number): void => {
    progress(bytes);
    if (bytes < upload.size || upload.whole) return;
    upload.whole = true;
    noted(true);
  };
  try {
    await transport.put(presigned.upload_url!, presigned.upload_headers, upload.file!, sent, signal);
  } catch (error) {
    throw signal.aborted ? error : await putFailed(error, upload, transport, signal, noted);
  }
  const ended = await confirmed(upload, transport, signal, noted);
  if (ended) return ended;
  throw new Again("the store has not seen it yet");
}

async function presign(upload: Upload, transport: Transport, signal: AbortSignal, noted: Noted) {
  try {
    return await transport.presign(upload, signal);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // The time of what was begun is over, or this system's clock has another offset by now.
    if (error.code === "upload_expired" || error.code === "idempotency_key_reused") {
      await forget(upload, transport, signal, noted);
      throw new Again(error.code);
    }
    throw error;
  }
}

/** What the failure is to be taken for. */
async function putFailed(
  error: unknown,
  upload: Upload,
  transport: Transport,
  signal: AbortSignal,
  noted: Noted,
): Promise<unknown> {
  if (error instanceof PutRefused) {
    if (error.status === 413) return new Refused("too_large");
    // 400: other bytes than the digest of an earlier page says. 403: mostly, the URL's time is over.
    if (error.status === 400) upload.sha256 = null;
    if (error.status < 500) await forget(upload, transport, signal, noted);
  }
  if (!(error instanceof Unreachable)) return error;
  // Otherwise all bytes may be there, and the answer alone was lost: the next attempt asks first.
  return (await readable(upload.file!)) ? error : new Refused("unreadable");
}

/** How the upload ended, or null if the store has nothing of it. */
async function confirmed(
  upload: Upload,
  transport: Transport,
  signal: AbortSignal,
  noted: Noted,
): Promise<Ended | null> {
  try {
    const { photo_id: photoId, duplicate } = await transport.confirm(upload.photoId!, signal);
    if (!duplicate) return { stage: "done", photoId };
    return { stage: upload.there === "trashed" ? "restored" : "known", photoId };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "not_uploaded") return null;
    if ((error.status === 404 && !error.foreign) || error.code === "upload_expired") {
      await forget(upload, transport, signal, noted);
      return null;
    }
    if (error.code === "upload_mismatch") {
      await forget(upload, transport, signal, noted);
      throw new Again(error.detail);
    }
    throw error;
  }
}

/** Gives up what was begun of a file that nobody wants any more. A presign whose answer did not come
 * may have begun an upload: the same one again tells which. */
export async function giveUp(upload: Upload, transport: Transport, signal: AbortSignal): Promise<void> {
  if (upload.photoId !== null) return transport.cancel(upload.photoId);
  // Bytes that are there take no room, and a presign would put them somewhere.
  if (upload.begun === null || upload.there !== "absent" || !AHEAD.has(upload.stage)) return;
  const begun = await transport.presign(upload, signal).catch(() => null);
  if (begun && !begun.duplicate) await transport.cancel(begun.photo_id);
}

/** The next attempt begins another upload, for which the one that was begun leaves its room. */
async function forget(upload: Upload, transport: Transport, signal: AbortSignal, noted: Noted): Promise<void> {
  if (upload.photoId !== null) await transport.cancel(upload.photoId, signal);
  Object.assign(upload, { begun: null, photoId: null, whole: false });
  noted(false);
}

async function readable(file: File): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** crypto.randomUUID is there on https and localhost alone. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}
