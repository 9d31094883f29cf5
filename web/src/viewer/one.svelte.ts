/** A list of one photo, for an address that names one which the view does not show. */

import { onChanged } from "../photos/changes";
import type { Shown, State, Tile } from "../timeline/shown";

export class OnePhoto implements Shown {
  readonly sections = [];
  ids: Float64Array;
  readonly tiles: ReadonlyMap<number, Tile> = new Map();
  readonly geometry = null;
  version = $state(0);
  readonly state: State = "ready";
  readonly problem = null;
  readonly halted = null;

  constructor(private readonly id: number) {
    this.ids = Float64Array.of(id);
  }

  start(): () => void {
    return onChanged(({ what, ids }) => {
      if (!ids.includes(this.id) || (what !== "delete" && what !== "restore")) return;
      this.ids = what === "restore" ? Float64Array.of(this.id) : new Float64Array(0);
      this.version++;
    });
  }
  refresh(): Promise<void> {
    return Promise.resolve();
  }
  retry(): void {}
  broken(): void {}
  layOut(): void {}
  want(): void {}
  know(): Promise<void> {
    return Promise.resolve();
  }
  find(id: number): number {
    return this.ids.indexOf(id);
  }
  day(): string {
    return "";
  }
}
