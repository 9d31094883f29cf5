import { mount } from "svelte";
import App from "./App.svelte";
import { currentLanguage } from "./i18n/index.svelte";
import "./app.css";

document.documentElement.lang = currentLanguage();
mount(App, { target: document.getElementById("app")! });
