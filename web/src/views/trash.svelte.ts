/** What was deleted and can be restored, the last deleted first. */

import { call, send, told } from "../api/client";
import { nextIn } from "../albums/albums";
import { ListModel, type ListPage } from "../timeline/list.svelte";
import { tileOf, type TileAnswer } from "../timeline/shown";

interface TrashedPhoto extends TileAnswer {
  created_at: string;
  trashed_at: string;
  purge_at: string;
}

interface Emptied {
  purged: number;
  left: number;
  until: string;
}

const PAGE = 100;
/** Milliseconds; thousands of photos take their time. */
const PATIENCE = 5 * 60_000;
/** Milliseconds between two times that the list is asked for anew because of thumbnails. */
const RENEWED = 30_000;
const DAY = 86_400_000;

export class TrashModel extends ListModel {
  /** By photo: when it is deleted for good, in milliseconds since the epoch. */
  readonly ends = new Map<number, number>();
  /** For how many days photos stay; 0 until that is known. */
  days = $state(0);
  /** When the photo was deleted that was deleted last. */
  latest: string | undefined;
  private renewed = 0;

  constructor() {
    super((cursor, signal) => this.page(cursor, signal), { leaves: ["restore", "purge"], renews: ["delete", "unknown"] });
  }

  /** Addresses of thumbnails end; only the list has those of photos in the trash. */
  override broken(): void {
    if (Date.now() - this.renewed < RENEWED) return;
    this.renewed = Date.now();
    void this.refresh();
  }

  /** Whole days that are left, rounded up; 0: it may go at any moment. */
  daysLeft(id: number): number {
    return Math.max(0, Math.ceil(((this.ends.get(id) ?? 0) - Date.now()) / DAY));
  }

  private async page(cursor: string | null, signal: AbortSignal): Promise<ListPage> {
    const more = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await send("GET", `/photos/trash?limit=${PAGE}${more}`, { signal });
    const photos = await told<TrashedPhoto[]>(answer, signal);
    for (const { id, purge_at } of photos) this.ends.set(id, Date.parse(purge_at));
    if (cursor === null && photos.length > 0) {
      const [{ trashed_at, purge_at }] = photos;
      this.latest = trashed_at;
      this.days = Math.round((Date.parse(purge_at) - Date.parse(trashed_at)) / DAY);
    }
    return {
      photos: photos.map((photo) => ({
        id: photo.id,
        ratio: photo.width && photo.height ? photo.width / photo.height : 0,
        tile: tileOf({ ...photo, sort_at: photo.created_at, favourite: false, archived: false }),
      })),
      next: nextIn(answer.headers.get("Link")),
    };
  }
}

/**
 * Deletes for good what was in the trash at that moment, and nothing that has come since. `progress` hears how
 * many are gone so far. Throws what the client throws; repeated, it goes on.
 */
export async function empty(until: string | undefined, progress: (gone: number) => void): Promise<number> {
  let gone = 0;
  for (let end = until; ; ) {
    const body = end === undefined ? {} : { until: end };
    const answer = await call<Emptied>("POST", "/photos/trash/empty", { body, patience: PATIENCE });
    gone += answer.purged;
    end = answer.until;
    progress(gone);
    if (answer.left === 0 || answer.purged === 0) return gone;
  }
}
