import { defineConfig } from "vite";

export default defineConfig({
  base: "/",
  build: {
    target: "es2021",
    assetsInlineLimit: 0, // nothing inline: the pages' content security policy allows none
    modulePreload: { polyfill: false },
    rollupOptions: { input: { index: "index.html", docs: "docs.html" } },
  },
});
