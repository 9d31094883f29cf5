/** What is done to the photo that is open: shown as done at once, and put right when it was not. */

import { ApiError, Unreachable } from "../api/client";
import { deletesForGood } from "../api/service";
import { counted, t, type Key } from "../i18n/index.svelte";
import { bulk, type Operation } from "../photos/changes";
import { download } from "../photos/download";
import { notify, notifyFailure } from "../ui/notices.svelte";
import { problem } from "../ui/problem";
import type { Deck } from "./deck.svelte";
import type { Photo } from "./photo";

export class Acts {
  downloading = $state(false);
  /** One after the other, so that the last wish stays. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly deck: Deck) {}

  favourite(): Promise<void> {
    return this.mark("favourite", this.deck.photo?.favourite ? "unfavourite" : "favourite");
  }

  async archive(): Promise<void> {
    const { photo } = this.deck;
    if (!photo) return;
    const { id, archived } = photo;
    await this.mark("archived", archived ? "unarchive" : "archive", () =>
      notify(t(archived ? "viewer.unarchived" : "viewer.archived"), {
        text: t("action.undo"),
        run: () => void this.again(archived ? "archive" : "unarchive", id),
      }),
    );
  }

  async remove(): Promise<void> {
    const { id } = this.deck;
    if (id === 0 || this.deck.isLeaving(id)) return;
    let final;
    try {
      final = await deletesForGood();
    } catch (error) {
      return notifyFailure(problem(error), { text: t("action.retry"), run: () => void this.remove() });
    }
    if (final && !confirm(counted("selection.sure", 1))) return;
    this.deck.leave();
    const gone = await this.again("delete", id);
    if (!gone) return this.deck.stay(id);
    if (final) return notify(counted("selection.gone", 1));
    notify(t("viewer.deleted"), { text: t("action.undo"), run: () => void this.restore(id) });
  }

  /** Saves the file as it was uploaded, under its name. */
  async download(): Promise<void> {
    const { photo } = this.deck;
    if (!photo || this.downloading) return;
    this.downloading = true;
    try {
      await download(photo.id, photo.original_filename);
    } catch (error) {
      const text = error instanceof ApiError ? problem(error) : t("viewer.not_downloaded");
      notifyFailure(text, { text: t("action.retry"), run: () => void this.download() });
    } finally {
      this.downloading = false;
    }
  }

  private async restore(id: number): Promise<void> {
    this.deck.stay(id);
    this.deck.returnTo(id);
    if (await this.again("restore", id)) notify(t("viewer.restored"));
  }

  private async mark(field: "favourite" | "archived", operation: Operation, done?: () => void): Promise<void> {
    const { photo } = this.deck;
    if (!photo) return;
    this.deck.put({ ...photo, [field]: !photo[field] });
    if (await this.again(operation, photo.id, (now) => ({ ...now, [field]: photo[field] }))) done?.();
  }

  /** Does it to one photo, in its turn; on a "no" the photo is made what `back` says. */
  private again(operation: Operation, id: number, back?: (now: Photo) => Photo): Promise<boolean> {
    const turn = this.last.then(() => this.tried(operation, id, back));
    this.last = turn;
    return turn;
  }

  private async tried(operation: Operation, id: number, back?: (now: Photo) => Photo): Promise<boolean> {
    const retry = { text: t("action.retry"), run: () => void this.again(operation, id, back) };
    try {
      const { missing } = await bulk(operation, [id]);
      if (missing.length > 0) notifyFailure(t("error.not_found"));
      return missing.length === 0;
    } catch (error) {
      // Without an answer it is unknown what the photo is now: whoever shows it asks.
      if (error instanceof Unreachable) notifyFailure(t(UNKNOWN[operation] ?? "viewer.unknown"), retry);
      else {
        if (back) this.deck.change(id, back);
        notifyFailure(problem(error), retry);
      }
      return false;
    }
  }
}

const UNKNOWN: Partial<Record<Operation, Key>> = { delete: "viewer.unknown_delete", restore: "viewer.unknown_restore" };
