/** What this service tells everybody of how it is run; a release before this one tells less. */

import { call } from "./client";

interface Service {
  registration?: "open" | "invitation" | "closed";
  /** 0: what is deleted is gone. */
  trash_days?: number;
}

let asked: Promise<Service> | null = null;

/** Asked for once; after a failure again. Raises as `call`. */
export function service(): Promise<Service> {
  asked ??= call<Service>("GET", "/", { anonymous: true }).catch((error: unknown) => {
    asked = null;
    throw error;
  });
  return asked;
}

export async function deletesForGood(): Promise<boolean> {
  return (await service()).trash_days === 0;
}
