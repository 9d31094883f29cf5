import { mount } from "svelte";
import App from "./App.svelte";
import { firstTexts } from "./i18n/index.svelte";
import { forget } from "./kept";
import { part } from "./part";
import { showTheme } from "./ui/theme.svelte";
import "./app.css";

showTheme();
await part(firstTexts);
mount(App, { target: document.getElementById("app")! });
// Whole: see public/start.js.
forget("photo-api.start", "tab");
