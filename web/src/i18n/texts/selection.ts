/** What can be done with many photos at once. */
export const en = {
  "selection.name": "Selected photos",
  "selection.count": "{count} selected",
  "selection.clear": "Clear selection",
  "selection.favourite": "Add to favourites",
  "selection.unfavourite": "Remove from favourites",
  "selection.archive": "Archive",
  "selection.unarchive": "Move out of the archive",
  "selection.album": "Add to album",
  "selection.download": "Download",
} as const;

export const ko: Record<keyof typeof en, string> = {
  "selection.name": "선택한 사진",
  "selection.count": "{count}장 선택됨",
  "selection.clear": "선택 해제",
  "selection.favourite": "즐겨찾기에 추가",
  "selection.unfavourite": "즐겨찾기에서 제거",
  "selection.archive": "보관",
  "selection.unarchive": "보관함에서 꺼내기",
  "selection.album": "앨범에 추가",
  "selection.download": "다운로드",
};
