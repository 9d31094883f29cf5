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

// What the browsers get lies where the serving plane finds it, inside the Python package.
export default defineConfig({
  plugins: [svelte(), compressed],
  build: {
    outDir: "../src/photo_api/gallery/built",
    emptyOutDir: true,
    assetsDir: "assets",
    manifest: true, // By which Python finds what share pages load.
    rolldownOptions: { input: ["index.html", "src/share.ts"] },
    assetsInlineLimit: 0, // The page's policy allows no data: URLs but of images.
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    target: "es2022",
  },
  worker: { format: "es" },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/share": "http://127.0.0.1:8000" } },
});
