/** SHA-256 of one file after the other, away from the page's thread. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

addEventListener("message", async (event: MessageEvent<{ id: number; file: Blob }>) => {
  const { id, file } = event.data;
  try {
    postMessage({ id, hex: await digest(file) });
  } catch (error) {
    // A file that was moved, or whose medium is gone.
    postMessage({ id, problem: String(error) });
  }
});

/** Browsers give their own, faster one to pages on https or localhost alone. */
async function digest(file: Blob): Promise<string> {
  if (globalThis.crypto?.subtle) {
    return bytesToHex(new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer())));
  }
  const hash = sha256.create();
  const reader = file.stream().getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) hash.update(part.value);
  return bytesToHex(hash.digest());
}
