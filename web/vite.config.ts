import { svelte } from "@sveltejs/vite-plugin-svelte";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Beside each text what clients get of it, so that no server compresses it for each of them. */
const compressed: Plugin = {
  name: "compressed",
  writeBundle({ dir }) {
    for (const entry of readdirSync(dir!, { recursive: true, withFileTypes: true })) {
      if (!/\.(js|css|html|svg|webmanifest)$/.test(entry.name)) continue;
      const file = join(entry.parentPath, entry.name);
      const text = readFileSync(file);
      writeFileSync(`${file}.br`, brotliCompressSync(text));
      writeFileSync(`${file}.gz`, gzipSync(text, { level: 9 }));
    }
  },
};

/** `texts/x.ts?en` is what that file has in English: both stand in one file, and go into two chunks. */
const oneLanguage: Plugin = {
  name: "one-language",
  enforce: "pre",
  transform(code, id) {
    const language = /\/i18n\/texts\/\w+\.ts\?(en|ko)$/.exec(id)?.[1];
    if (language === undefined) return;
    const korean = code.indexOf("export const ko");
    if (korean < 0) throw new Error(`${id} has no Korean behind its English`);
    return { code: language === "en" ? code.slice(0, korean) : code.slice(korean), map: null };
  },
};

const first = new Map<string, boolean>();

/** Whether the page's own script needs this module at once. */
function isFirst(id: string, infoOf: (id: string) => { importers: string[] } | null): boolean {
  const known = first.get(id);
  if (known !== undefined) return known;
  first.set(id, false); // modules that import one another
  const found = id.endsWith("/src/main.ts") || (infoOf(id)?.importers ?? []).some((by) => isFirst(by, infoOf));
  first.set(id, found);
  return found;
}

// What the browsers get lies where the serving plane finds it, inside the Python package.
export default defineConfig({
  plugins: [svelte(), oneLanguage, compressed],
  // Its makers have shortened names within it that no bundler may touch.
  resolve: { alias: { photoswipe: join(import.meta.dirname, "node_modules/photoswipe/dist/photoswipe.esm.min.js") } },
  build: {
    outDir: "../src/photo_api/gallery/built",
    emptyOutDir: true,
    assetsDir: "assets",
    manifest: true, // By which Python finds what share pages load.
    rolldownOptions: {
      input: ["index.html", "src/share.ts"],
      // What the first page loads anyway is one file: twenty small ones compress worse.
      output: { codeSplitting: { groups: [{ name: (id, known) => (isFirst(id, (one) => known.getModuleInfo(one)) ? "first" : null) }] } },
      checks: { pluginTimings: false },
    },
    assetsInlineLimit: 0, // The page's policy allows no data: URLs but of images.
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    target: "es2022",
  },
  worker: { format: "es" },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/share": "http://127.0.0.1:8000" } },
});
