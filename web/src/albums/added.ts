import { counted } from "../i18n/index.svelte";
import type { Added, Album } from "./albums";

/** What became of photos that were put into an album. */
export function told(album: Album, { added, already, gone }: Added): string {
  const parts = [counted("albums.added", added, { name: album.name })];
  if (already) parts.push(counted("albums.already", already));
  if (gone) parts.push(counted("albums.gone", gone));
  return parts.join(" ");
}
