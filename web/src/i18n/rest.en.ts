/** What the other views say, in English. */

import type { Texts } from "./index.svelte";

const parts = import.meta.glob<Partial<Texts>>(["./texts/*.ts", "!./texts/{common,selection,timeline,upload}.ts"], { query: "?en", import: "en", eager: true });
export default Object.assign({}, ...Object.values(parts)) as Partial<Texts>;
