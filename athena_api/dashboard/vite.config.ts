import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { minify } from "@swc/core";
import { defineConfig, type Plugin } from "vite";

const CLIENT = decodeURIComponent(new URL("../../clients/typescript/src", import.meta.url).pathname);

/** The packages in the bundle. */
const PACKAGES = ["preact", "@preact/signals", "@preact/signals-core"];

/** Writes the Brotli form of each script and style sheet beside it: Python's standard library has no Brotli. */
const brotli: Plugin = {
  name: "brotli",
  apply: "build",
  writeBundle({ dir = "" }, bundle) {
    for (const name of Object.keys(bundle).filter((file) => /\.(css|js)$/.test(file))) {
      writeFileSync(`${dir}/${name}.br`, brotliCompressSync(readFileSync(`${dir}/${name}`)));
    }
  },
};

/** Minifies the script by SWC: its output is smaller than the one of the built-in minifier. */
const swc: Plugin = {
  name: "swc",
  enforce: "post", // after the code is lowered to the target
  apply: "build",
  async renderChunk(code) {
    const compress = { passes: 3, ecma: 2020, toplevel: true, unsafe: true } as const; // unsafe: nothing here replaces built-in functions
    const { code: minified, map } = await minify(code, { module: true, ecma: 2020, compress, mangle: { toplevel: true }, sourceMap: true });
    return { code: minified, map: map ?? null };
  },
};

/** Writes the licences of the packages in the bundle beside it. */
const licences: Plugin = {
  name: "licences",
  apply: "build",
  generateBundle() {
    const texts = PACKAGES.map((name) => `${name}\n\n${String(readFileSync(`node_modules/${name}/LICENSE`))}`);
    this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: texts.join("\n") });
  },
};

// The built files are committed and served by Athena itself: no node is needed to run it.
export default defineConfig({
  base: "/static/dashboard/",
  plugins: [swc, brotli, licences],
  oxc: { jsx: { importSource: "preact" } },
  resolve: {
    alias: [
      { find: "@projectathena/client/operations", replacement: `${CLIENT}/generated/operations.ts` },
      { find: "@projectathena/client", replacement: `${CLIENT}/index.ts` },
    ],
  },
  build: {
    outDir: "../static/dashboard",
    emptyOutDir: true,
    target: "es2022",
    rolldownOptions: { output: { minify: { mangle: false } } }, // SWC has named the variables
    modulePreload: false, // it would add an inline helper; there is one chunk
    assetsInlineLimit: 0, // no data: URLs
  },
  server: { proxy: { "/api": "http://127.0.0.1:8787", "/static": "http://127.0.0.1:8787" } },
});
