import { mount } from "svelte";
import App from "./App.svelte";
import { firstTexts } from "./i18n/index.svelte";
import { forget } from "./kept";
import { part, STAYS } from "./part";
import { showTheme } from "./ui/theme.svelte";
import "./app.css";

showTheme();
part(firstTexts, STAYS).then(
  () => {
    mount(App, { target: document.getElementById("app")! });
    // Whole: see public/start.js, which otherwise has the page loaded again.
    forget("photo-api.start", "tab");
  },
  () => dispatchEvent(new Event("photo-api.lacking")),
);
