/** What the queue asks of the API and the store. */

import { call } from "../api/client";
import { whose } from "../api/session";
import { declaredType } from "./formats";
import { put } from "./put";
import type { Upload } from "./upload";

export interface Presigned {
  photo_id: number;
  upload_url: string | null;
  upload_headers: Record<string, string>;
  duplicate: boolean;
}

export interface Verdict {
  sha256: string;
  status: "absent" | "present" | "trashed";
  photo_id: number | null;
}

export interface Room {
  used_bytes: number;
  quota_bytes: number | null;
}

export interface Transport {
  check(sha256: string[], signal: AbortSignal): Promise<Verdict[]>;
  presign(upload: Upload, signal: AbortSignal): Promise<Presigned>;
  put: typeof put;
  confirm(photoId: number, signal: AbortSignal): Promise<{ photo_id: number; duplicate: boolean }>;
  /** Gives up what was begun, so that it takes no room any more; never fails. Where nobody answers,
   * that comes when its time is over. */
  cancel(photoId: number, signal?: AbortSignal): Promise<void>;
  room(): Promise<Room>;
}

/** Somebody else is signed in now, or nobody: nothing may be asked in the name of the first one. */
export class OtherAccount extends Error {}

/** Characters that the API takes of a name. */
const LONGEST_NAME = 255;

export function transportOf(account: string): Transport {
  function ask<T>(method: string, path: string, options: Parameters<typeof call>[2]): Promise<T> {
    if (whose() !== account) return Promise.reject(new OtherAccount());
    return call<T>(method, path, options);
  }
  return {
    check: async (sha256, signal) =>
      (await ask<{ results: Verdict[] }>("POST", "/photos/check", { body: { sha256 }, signal })).results,
    presign: (upload, signal) =>
      ask("POST", "/photos/presigned-url", {
        signal,
        headers: { "Idempotency-Key": upload.begun! },
        body: presignBody(upload),
      }),
    put,
    confirm: (photoId, signal) => ask("POST", "/photos/confirm", { body: { photo_id: photoId }, signal }),
    cancel: (photoId, signal) =>
      ask<void>("DELETE", `/photos/${photoId}/upload`, { signal }).catch(() => undefined),
    room: () => ask("GET", "/auth/me", {}),
  };
}

export function presignBody(upload: Upload): Record<string, unknown> {
  const moment = withOffset(upload.modified);
  return {
    ...(upload.albumId === null ? {} : { album_id: upload.albumId }),
    filename: shortened(upload.name),
    content_type: declaredType(upload.name, upload.file!.type) ?? "",
    file_size: upload.size,
    ...(moment === null ? {} : { file_modified_at: moment }),
    ...(upload.sha256 === null ? {} : { sha256: upload.sha256 }),
    on_duplicate: "reuse",
  };
}

/** RFC 3339 with the offset that this system's clock had then; null for what no clock shows. */
export function withOffset(milliseconds: number): string | null {
  const ahead = -new Date(milliseconds).getTimezoneOffset();
  const wall = new Date(milliseconds + ahead * 60_000);
  if (!(wall.getTime() > 0) || wall.getUTCFullYear() > 9998) return null;
  const two = (n: number): string => String(Math.floor(n)).padStart(2, "0");
  const offset = `${ahead < 0 ? "-" : "+"}${two(Math.abs(ahead) / 60)}:${two(Math.abs(ahead) % 60)}`;
  return wall.toISOString().slice(0, 19) + offset;
}

/** The end of a name has its kind. */
function shortened(name: string): string {
  const letters = [...name.normalize("NFC")];
  if (letters.length <= LONGEST_NAME) return name;
  return [...letters.slice(0, LONGEST_NAME - 20), "…", ...letters.slice(-19)].join("");
}
