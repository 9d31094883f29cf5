import { mount } from "svelte";
import App from "./App.svelte";
import { currentLanguage } from "./i18n/index.svelte";
import { showTheme } from "./ui/theme.svelte";
import "./app.css";

showTheme();
document.documentElement.lang = currentLanguage();
mount(App, { target: document.getElementById("app")! });
// Whole: see public/start.js.
sessionStorage.removeItem("photo-api.start");
