/** What the widgets need of a browser and jsdom does not have. */

import { afterEach, vi } from "vitest";

import { stopAll } from "./fake_model";

class Observer {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

const context = new Proxy({} as Record<string | symbol, unknown>, {
  get: (kept, name) => (name === "measureText" ? () => ({ width: 30 }) : (kept[name] ?? (() => undefined))),
});

vi.stubGlobal("ResizeObserver", Observer);
vi.stubGlobal("IntersectionObserver", Observer);
vi.stubGlobal(
  "Path2D",
  class {
    moveTo(): void {}
    lineTo(): void {}
    rect(): void {}
    arc(): void {}
    arcTo(): void {}
    closePath(): void {}
  },
);
vi.stubGlobal("matchMedia", () => ({ addEventListener() {}, removeEventListener() {} }));
HTMLCanvasElement.prototype.getContext = (() => context) as never;

afterEach(() => {
  stopAll();
  document.body.replaceChildren();
});
