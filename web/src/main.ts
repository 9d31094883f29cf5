import { mount } from "svelte";
import App from "./App.svelte";
import { firstTexts } from "./i18n/index.svelte";
import { part } from "./part";
import { showTheme } from "./ui/theme.svelte";
import "./app.css";

showTheme();
await part(firstTexts);
mount(App, { target: document.getElementById("app")! });
// Whole: see public/start.js.
sessionStorage.removeItem("photo-api.start");
