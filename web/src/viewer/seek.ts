import type { Shown } from "../timeline/shown";
import type { PhotoCache } from "./photo";

/** The index of a photo, for which its month is loaded; -1 if it is not in the list, or nobody knows. */
export async function seek(photos: Shown, id: number, cache: PhotoCache): Promise<number> {
  const known = photos.find(id);
  if (known >= 0) return known;
  try {
    const { sort_at } = await cache.get(id);
    let first = 0;
    for (const { month, count } of photos.sections) {
      if (month !== "" && sort_at.startsWith(month)) {
        await photos.know(first, first + count);
        break;
      }
      first += count;
    }
    return photos.find(id);
  } catch {
    return -1;
  }
}
