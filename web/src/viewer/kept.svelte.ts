/** What stays as it is when the viewer is closed and opened again. */

export const kept = $state({
  details: false,
  /** Which form of the details is open. */
  editing: "" as "" | "texts" | "date",
});

export interface Draft {
  title: string;
  description: string;
  wall: string;
  offset: string;
}

const MOST = 50;
const drafts = new Map<number, Partial<Draft>>();

/** What was typed about this photo and not saved, by whichever way the form was left. */
export function draftOf(id: number): Partial<Draft> {
  return drafts.get(id) ?? {};
}

export function keepDraft(id: number, draft: Partial<Draft>): void {
  drafts.delete(id);
  drafts.set(id, draft);
  for (const first of drafts.keys()) {
    if (drafts.size <= MOST) return;
    drafts.delete(first);
  }
}

export function dropDraft(id: number, ...fields: (keyof Draft)[]): void {
  const draft = { ...draftOf(id) };
  for (const field of fields) delete draft[field];
  if (Object.keys(draft).length > 0) drafts.set(id, draft);
  else drafts.delete(id);
}
