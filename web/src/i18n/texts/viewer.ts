/** One photo over the whole window. */
export const en = {
  "viewer.name": "Photo",
} as const;

export const ko: Record<keyof typeof en, string> = {
  "viewer.name": "사진",
};
