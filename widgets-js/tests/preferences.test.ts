import { describe, expect, it } from "vitest";

import { Preferences } from "../../labextension/src/preferences";

type Registry = ConstructorParameters<typeof Preferences>[0];

const registry = (load: () => Promise<unknown>) => ({ load }) as unknown as Registry;
const settings = (chosen: Record<string, unknown>) => ({ get: (key: string) => ({ composite: chosen[key] }) });

describe("the settings of the panel", () => {
  it("are ready when they are read, not before", async () => {
    let answer: (found: unknown) => void = () => undefined;
    const preferences = new Preferences(
      registry(() => new Promise((done) => (answer = done))),
      "panel",
    );
    let isReady = false;
    const ready = preferences.ready.then(() => (isReady = true));
    await Promise.resolve();
    expect([isReady, preferences.target]).toEqual([false, ""]);
    answer(settings({ target: " docker ", metricsWindow: 15 }));
    await ready;
    expect([preferences.target, preferences.metricsSeconds]).toEqual(["docker", 900]);
  });

  it("are the defaults where they cannot be read, or where there are none", async () => {
    for (const given of [registry(() => Promise.reject(new Error("no such schema"))), null]) {
      const preferences = new Preferences(given, "panel");
      await preferences.ready;
      expect([preferences.workspace, preferences.metricsSeconds, preferences.isTold("failed")]).toEqual([
        "",
        300,
        true,
      ]);
    }
  });
});
