/**
 * What somebody does to photos, told to whatever shows them: in this tab and the browser's others.
 * Models take out, mark or ask anew by it, so that no view is told by another one.
 */

import { call } from "../api/client";

export type Operation =
  | "delete" | "restore" | "purge" | "favourite" | "unfavourite" | "archive" | "unarchive" | "move";

/**
 * Beside the operations: `uploaded` has come, `edited` has another title, date or picture, `unknown`: no
 * answer told whether it was changed, or how.
 */
export interface Change {
  what: Operation | "uploaded" | "edited" | "unknown";
  ids: readonly number[];
}

type Listener = (change: Change) => void;

const MOST = 1_000;
const listeners = new Set<Listener>();
const tabs = openChannel();

/** Null where the browser keeps pages apart. */
function openChannel(): BroadcastChannel | null {
  try {
    const channel = new BroadcastChannel("photo-api.changes");
    channel.onmessage = (event: MessageEvent<Change>) => hand(event.data);
    return channel;
  } catch {
    return null;
  }
}

export function changed(what: Change["what"], ids: readonly number[]): void {
  if (ids.length === 0) return;
  const change: Change = { what, ids: [...ids] };
  hand(change);
  tabs?.postMessage(change);
}

/** Calls back for each change until the function that it gives is called. */
export function onChanged(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function hand(change: Change): void {
  for (const listener of [...listeners]) listener(change);
}

export interface Outcome {
  /** Those that are now as was asked, also if they were before. */
  done: number[];
  /** How many of those were so before. */
  unchanged: number;
  /** Gone meanwhile, or not where the operation looks. */
  missing: number[];
}

interface Results {
  results: { id: number; status: "done" | "unchanged" | "not_found" | "clamped" }[];
}

/**
 * Does one thing to many photos, a thousand at a time, and tells it. Throws what the client throws; what
 * was done before is told all the same, and what got no answer as unknown.
 */
export async function bulk(operation: Operation, ids: readonly number[], more: object = {}): Promise<Outcome> {
  const outcome: Outcome = { done: [], unchanged: 0, missing: [] };
  for (let i = 0; i < ids.length; i += MOST) {
    const piece = ids.slice(i, i + MOST);
    const body = { operation, photo_ids: piece, ...more };
    try {
      const { results } = await call<Results>("POST", "/photos/bulk", { body, idempotent: true });
      const done = results.filter((one) => one.status !== "not_found").map((one) => one.id);
      changed(operation, done);
      outcome.done.push(...done);
      outcome.unchanged += results.filter((one) => one.status === "unchanged").length;
      for (const one of results) if (one.status === "not_found") outcome.missing.push(one.id);
    } catch (error) {
      changed("unknown", piece);
      throw error;
    }
  }
  if (outcome.missing.length > 0) changed("unknown", outcome.missing);
  return outcome;
}
