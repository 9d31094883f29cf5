/** Drawn as strokes on 24 by 24. */
export const PATHS = {
  add: "M12 5v14M5 12h14",
  album: "M3 7h7l2 2h9v10H3z",
  archive: "M3 5h18v4H3zM5 9v10h14V9M10 13h4",
  back: "M19 12H5m6-6-6 6 6 6",
  check: "m5 12 5 5 9-10",
  close: "m6 6 12 12M18 6 6 18",
  download: "M12 4v11m-5-4 5 5 5-5M5 20h14",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  heart: "M12 20s-8-5-8-11a4.5 4.5 0 0 1 8-2.8A4.5 4.5 0 0 1 20 9c0 6-8 11-8 11z",
  info: "M12 11v6M12 7v.01M3 12a9 9 0 1 0 18 0 9 9 0 1 0-18 0",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  move: "M12 4v16M4 12h16M9 7l3-3 3 3M9 17l3 3 3-3M7 9l-3 3 3 3M17 9l3 3-3 3",
  person: "M8 8a4 4 0 1 0 8 0 4 4 0 1 0-8 0M4 21c0-4 3.500-6 8-6s8 2 8 6",
  photos: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9v.01",
  restore: "M4 12a8 8 0 1 0 3-6M4 4v5h5",
  search: "M4 10.500a6.500 6.500 0 1 0 13 0 6.500 6.500 0 1 0-13 0M15.500 15.500 21 21",
  share: "M12 15V4m-4 3 4-4 4 4M6 11H4v10h16V11h-2",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  upload: "M12 16V5m-5 4 5-5 5 5M5 20h14",
} as const;

export type IconName = keyof typeof PATHS;
