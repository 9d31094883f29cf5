import { mount } from "svelte";
import App from "./App.svelte";
import { firstTexts } from "./i18n/index.svelte";
import { showTheme } from "./ui/theme.svelte";
import "./app.css";

showTheme();
await firstTexts();
mount(App, { target: document.getElementById("app")! });
// Whole: see public/start.js.
sessionStorage.removeItem("photo-api.start");
