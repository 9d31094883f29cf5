/** Light or dark: as the device has it, or as somebody chose here. */

import { keep, kept } from "../kept";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEPT = "photo-api.theme";
const GROUNDS = { light: "#fbfaf8", dark: "#16181b" };

function preferred(): Theme {
  return THEMES.find((theme) => theme === kept(KEPT)) ?? "system";
}

let theme = $state<Theme>(preferred());

export function currentTheme(): Theme {
  return theme;
}

export function chooseTheme(chosen: Theme): void {
  theme = chosen;
  keep(KEPT, chosen);
  showTheme();
}

/** app.css does the rest; the browser's own bars know only what stands in `meta`. */
export function showTheme(): void {
  document.documentElement.dataset.theme = theme;
  document.querySelectorAll<HTMLMetaElement>("meta[name=theme-color]").forEach((meta) => {
    const ofDevice = meta.media.includes("dark") ? "dark" : "light";
    meta.content = GROUNDS[theme === "system" ? ofDevice : theme];
  });
}
