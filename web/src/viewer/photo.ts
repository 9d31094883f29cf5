/** What the viewer knows of photos: as much as `GET /photos/{id}` tells, of the last few. */

import { call } from "../api/client";
import { endOf } from "../timeline/shown";

export interface Exif {
  taken_at_source?: string;
  camera?: string;
  lens?: string;
  /** "1/200", in seconds. */
  exposure_time?: string;
  f_number?: number;
  iso?: number;
  /** Millimetres. */
  focal_length?: number;
  /** Metres. */
  altitude?: number;
}

export type DateSource = "user" | "exif" | "xmp" | "iptc" | "png" | "filename" | "file_modified_at" | "upload";

export interface Photo {
  id: number;
  title: string | null;
  description: string | null;
  original_filename: string;
  content_type: string;
  file_size: number;
  created_at: string;
  width: number | null;
  height: number | null;
  renditions: "pending" | "ready" | "partial" | "failed";
  thumbnail_url: string | null;
  preview_url: string | null;
  exif: Exif | null;
  /** "2024-05-12T15:30:00", by the clock on the wall there. */
  sort_at: string;
  /** Minutes that this clock is ahead of UTC; null where nobody told. */
  utc_offset: number | null;
  date_source: DateSource;
  dates_passed_over: DateSource[] | null;
  favourite: boolean;
  archived: boolean;
  latitude: number | null;
  longitude: number | null;
}

const KEPT = 24;
/** A signed address that ends sooner is asked for anew; in milliseconds. */
const LEFT = 15_000;

export class PhotoCache {
  private readonly kept = new Map<number, Photo>();
  private readonly asked = new Map<number, Promise<Photo>>();

  known(id: number): Photo | undefined {
    return this.kept.get(id);
  }

  /** Throws what the client throws. `anew`: what is known is wrong, or its addresses have ended. */
  get(id: number, anew = false): Promise<Photo> {
    const known = this.kept.get(id);
    if (known && !anew && lasts(known)) return Promise.resolve(known);
    const asked = this.asked.get(id);
    if (asked) return asked;
    const asking = call<Photo>("GET", `/photos/${id}`)
      .then((photo) => this.put(photo))
      .finally(() => this.asked.delete(id));
    this.asked.set(id, asking);
    return asking;
  }

  put(photo: Photo): Photo {
    this.kept.delete(photo.id);
    this.kept.set(photo.id, photo);
    for (const id of this.kept.keys()) {
      if (this.kept.size <= KEPT) break;
      this.kept.delete(id);
    }
    return photo;
  }
}

function lasts(photo: Photo): boolean {
  if (photo.preview_url === null || photo.preview_url.startsWith("/")) return photo.renditions !== "pending";
  return endOf(photo.preview_url, Date.now()) - LEFT > Date.now();
}

/** What a photo is called where it has no title. */
export function nameOf(photo: { title: string | null; original_filename: string }): string {
  return photo.title || photo.original_filename;
}
