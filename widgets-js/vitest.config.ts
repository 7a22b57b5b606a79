import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { environment: "jsdom", setupFiles: ["tests/setup.ts"], restoreMocks: true, css: false, testTimeout: 300_000 },
});
