/** Which files the API takes, told from names, from what the browser says, and from first bytes. */

export type Kind = "image" | "other" | "clutter";

const ACCEPTED = new Set(
  ["jpeg", "png", "gif", "webp", "heic", "heif", "avif"].map((name) => `image/${name}`),
);
const NAMED = /\.(jpe?g|png|gif|webp|heic|heif|avif)$/i;
/** What systems leave in folders without anybody's doing: not worth a word. */
const CLUTTER = /^(\.|thumbs\.db$|desktop\.ini$|ehthumbs\.db$|@eadir$)/i;

/** `image` is also one of a type that the API refuses: that one is told by name. */
export function kindOf(name: string, type: string): Kind {
  if (CLUTTER.test(name)) return "clutter";
  return NAMED.test(name) || type.startsWith("image/") ? "image" : "other";
}

/** The type to declare, empty where the bytes are to decide; null for an image that is never taken. */
export function declaredType(name: string, type: string): string | null {
  if (ACCEPTED.has(type)) return type;
  return NAMED.test(name) ? "" : null;
}

/** First bytes that `looksAccepted` wants to see. */
export const HEAD = 256;

const HEIC = ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"];
const BRANDS = new Set([...HEIC, "avif", "avis", "mif1", "msf1", "mif2"]);

/** As the API tells (formats.py): the kind of a file by its first bytes, whatever its name. */
export function looksAccepted(head: Uint8Array): boolean {
  const text = String.fromCharCode(...head.subarray(0, 12));
  if (text.startsWith("\xff\xd8\xff") || text.startsWith("\x89PNG\r\n\x1a\n")) return true;
  if (text.startsWith("GIF87a") || text.startsWith("GIF89a")) return true;
  if (text.startsWith("RIFF")) return text.slice(8) === "WEBP";
  return text.slice(4, 8) === "ftyp" && BRANDS.has(text.slice(8));
}

/** What file pickers offer. Phones open their camera roll for types alone, without names. */
export function offered(phone: boolean): string {
  const types = "image/*,image/heic,image/heif,image/avif";
  return phone ? types : `${types},.heic,.heif,.avif`;
}
