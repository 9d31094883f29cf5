/** Originals, saved under the names that they had. */

import { send } from "../api/client";

/** Milliseconds for a whole original on a slow line. */
const PATIENCE = 15 * 60_000;
/** Until the browser has begun to write it. */
const WRITTEN = 60_000;

/** Throws what the client throws. */
export async function download(id: number, name: string, signal?: AbortSignal): Promise<void> {
  const answer = await send("GET", `/photos/${id}/image?size=original`, { signal, patience: PATIENCE });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), WRITTEN);
}
