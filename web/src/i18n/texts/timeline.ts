/** The timeline and whatever shows photos in rows. */
export const en = {
  "timeline.untitled": "Photo without a title",
} as const;

export const ko: Record<keyof typeof en, string> = {
  "timeline.untitled": "제목 없는 사진",
};
