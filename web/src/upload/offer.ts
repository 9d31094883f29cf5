/** Gives files to the queue, which is loaded for it. */

import { t } from "../i18n/index.svelte";
import { part, STAYS } from "../part";
import { view } from "../router.svelte";
import { notifyFailure } from "../ui/notices.svelte";
import type { Picks } from "./picked";

type Loaded = typeof import("./uploads.svelte");

let loading: Promise<Loaded> | null = null;
let loaded: Loaded | null = null;

export async function load(): Promise<Loaded> {
  loading ??= part(() => import("./uploads.svelte"), STAYS); // with the files that were picked
  try {
    return (loaded = await loading);
  } catch (error) {
    loading = null;
    throw error;
  }
}

/** Files go to the album that is looked at, or to none. */
export async function offer(picks: Picks): Promise<void> {
  const here = view();
  const albumId = here.name === "album" ? here.id : null;
  try {
    (await load()).uploads.add(picks, albumId);
  } catch {
    notifyFailure(t("error.view"), { text: t("action.retry"), run: () => void offer(picks) });
  }
}

/** How many files are not uploaded yet, for whoever is about to sign out. */
export function unfinishedUploads(): number {
  return loaded?.uploads.unfinished ?? 0;
}
