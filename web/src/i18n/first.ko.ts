/** What the first page says, in Korean. */

import type { Texts } from "./index.svelte";

const parts = import.meta.glob<Partial<Texts>>("./texts/{common,selection,timeline,upload}.ts", { query: "?ko", import: "ko", eager: true });
export default Object.assign({}, ...Object.values(parts)) as Partial<Texts>;
