/** Uploads that earlier pages left unfinished, found again by name, size and time, or by their bytes. */

import type { Upload } from "./upload";

export class Missing {
  private alike = new Map<string, Upload>();
  private digests = new Map<string, Upload>();

  add(upload: Upload): void {
    this.alike.set(likeness(upload), upload);
    if (upload.sha256 !== null) this.digests.set(upload.sha256, upload);
  }

  remove(upload: Upload): void {
    if (this.alike.get(likeness(upload)) === upload) this.alike.delete(likeness(upload));
    if (upload.sha256 !== null && this.digests.get(upload.sha256) === upload) this.digests.delete(upload.sha256);
  }

  all(): Upload[] {
    return [...this.alike.values()];
  }

  /** The same file, wherever it was picked from. One that was meant for an album goes there, unless the
   * files are meant for another one now. */
  like(upload: Upload): Upload | undefined {
    const found = this.alike.get(likeness(upload));
    return found && (upload.albumId === null || found.albumId === upload.albumId) ? found : undefined;
  }

  /** One of these bytes that is meant for the same place, whatever its name. */
  sameBytes({ sha256, albumId }: Upload): Upload | undefined {
    const found = sha256 === null ? undefined : this.digests.get(sha256);
    return found?.albumId === albumId ? found : undefined;
  }
}

function likeness(upload: Upload): string {
  return JSON.stringify([upload.name, upload.size, upload.modified]);
}

/** What changed after it was picked, and could not be read: picked again it is another file. */
export function unreadableLike({ name, folder, albumId }: Upload, all: Iterable<Upload>): Upload[] {
  const unreadable = [...all].filter((one) => one.problem === "unreadable");
  return unreadable.filter((one) => one.name === name && one.folder === folder && one.albumId === albumId);
}
