import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const CLIENT = decodeURIComponent(new URL("../../clients/typescript/src", import.meta.url).pathname);

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

// The built files are committed and served by Athena itself: no node is needed to run it.
export default defineConfig({
  base: "/static/dashboard/",
  plugins: [brotli],
  // Calls of `h` with the children as arguments, and Terser instead of the built-in minifier: 2 % smaller.
  oxc: { jsx: { runtime: "classic", pragma: "h_", pragmaFrag: "F_" }, jsxInject: `import { h as h_, Fragment as F_ } from "preact"` },
  resolve: {
    dedupe: ["preact"],
    alias: [
      { find: "@projectathena/client/operations", replacement: `${CLIENT}/generated/operations.ts` },
      { find: "@projectathena/client", replacement: `${CLIENT}/index.ts` },
    ],
  },
  build: {
    outDir: "../static/dashboard",
    emptyOutDir: true,
    target: "es2022",
    minify: "terser",
    terserOptions: { ecma: 2020, compress: { passes: 3 } },
    modulePreload: false, // it would add an inline helper; there is one chunk
    assetsInlineLimit: 0, // no data: URLs
  },
  server: { proxy: { "/api": "http://127.0.0.1:8787", "/static": "http://127.0.0.1:8787" } },
});
