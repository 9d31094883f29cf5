/** Times and reasons in the reader's language. */

import { t, type Key } from "../i18n/index.svelte";
import { size as bytes } from "../ui/amounts";
import type { Room } from "./transport";
import type { Upload } from "./upload";

export function left(seconds: number): string {
  if (seconds < 60) return t("upload.left.seconds", { n: Math.max(1, Math.ceil(seconds / 5) * 5) });
  if (seconds < 3_600) return t("upload.left.minutes", { n: Math.ceil(seconds / 60) });
  return t("upload.left.hours", { n: Math.ceil(seconds / 3_600) });
}

const REASONS: Partial<Record<string, Key>> = {
  unsupported_type: "upload.no.unsupported_type",
  not_an_image: "upload.no.not_an_image",
  empty: "upload.no.empty",
  unreadable: "upload.no.unreadable",
  album_gone: "upload.no.album_gone",
  changed: "upload.no.changed",
  store_refused: "upload.no.store_refused",
  unreachable: "upload.no.unreachable",
  inactive_user: "upload.no.inactive_user",
};

export function reason(upload: Upload, room: Room | null): string {
  const size = bytes(upload.size);
  if (upload.problem === "too_large") {
    const limit = /\d+/.exec(upload.detail)?.[0];
    return limit ? t("upload.no.too_large.limit", { size, limit: bytes(Number(limit)) }) : t("upload.no.too_large", { size });
  }
  if (upload.problem === "quota_exceeded") {
    if (room?.quota_bytes == null) return t("upload.no.quota_exceeded.plain", { size });
    return t("upload.no.quota_exceeded", { size, used: bytes(room.used_bytes), quota: bytes(room.quota_bytes) });
  }
  const known = REASONS[upload.problem];
  return known ? t(known) : t("upload.no.other", { detail: upload.detail || upload.problem });
}

export function state(upload: Upload, room: Room | null): string {
  const size = bytes(upload.size);
  if (upload.stage === "refused") return reason(upload, room);
  if (upload.stage !== "sending") return t(`upload.stage.${upload.stage}`, { size });
  return t("upload.stage.sending", { size, percent: Math.floor((100 * upload.sent) / upload.size) });
}
