/** The timeline and whatever shows photos in rows. */
export const en = {
  "timeline.untitled": "Photo without a title",
  "timeline.photo": "Photo of {date}",
  "timeline.select": "Select {name}",
  "timeline.pending": "Being prepared …",
  "timeline.name": "Your photos",
} as const;

export const ko: Record<keyof typeof en, string> = {
  "timeline.untitled": "제목 없는 사진",
  "timeline.photo": "{date} 사진",
  "timeline.select": "{name} 선택",
  "timeline.pending": "준비하는 중 …",
  "timeline.name": "내 사진",
};
