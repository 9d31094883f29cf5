/** SHA-256 of one file after the other, away from the page's thread. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { HEAD, looksAccepted } from "./formats";

export type Hashed = { id: number; hex: string; accepted: boolean } | { id: number; problem: string };

/** Bytes up to which a file is read at once, for the browser's own SHA-256, which takes no parts. */
const AT_ONCE = 64 << 20;

addEventListener("message", async (event: MessageEvent<{ id: number; file: Blob }>) => {
  const { id, file } = event.data;
  try {
    const accepted = looksAccepted(new Uint8Array(await file.slice(0, HEAD).arrayBuffer()));
    const hex = accepted ? await digest(file) : "";
    postMessage({ id, hex, accepted } satisfies Hashed);
  } catch (error) {
    // A file that was moved or changed, or whose medium is gone.
    postMessage({ id, problem: String(error) } satisfies Hashed);
  }
});

/** Browsers give their own, faster one to pages on https or localhost alone. */
async function digest(file: Blob): Promise<string> {
  if (globalThis.crypto?.subtle && file.size <= AT_ONCE) {
    return bytesToHex(new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer())));
  }
  const hash = sha256.create();
  const reader = file.stream().getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) hash.update(part.value);
  return bytesToHex(hash.digest());
}
