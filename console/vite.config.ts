import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// Relative addresses, so that the pages work behind any path prefix; names by content, so that they may be kept for ever.
export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../src/offhook/console/dist",
    emptyOutDir: true,
    assetsInlineLimit: 0, // no data: addresses, which the content security policy forbids
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": { target: process.env.OFFHOOK_API ?? "http://127.0.0.1:8080", ws: true } } },
});
