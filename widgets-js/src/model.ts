/** The part of anywidget that the widgets use: traits and messages of the Python object behind a view. */

/** The model of a widget. `on` and `off` take the events `change:NAME`, `msg:custom` and `comm_live_update`. */
export interface Model<Traits> {
  get<K extends keyof Traits & string>(name: K): Traits[K];
  send(message: unknown): void;
  on(event: string, listener: (...values: never[]) => void): void;
  off(event: string, listener: (...values: never[]) => void): void;
}

/** The arguments of `render`: the model, and the element that the view fills. */
export interface View<Traits> {
  model: Model<Traits>;
  el: HTMLElement;
}

/** A function that ends what another one has begun. */
export type Stop = () => void;

export const KERNEL_ENDED = "The kernel has ended. Run the cell again to see it live.";

/** Listen for an event of the model; the returned function stops that. */
export function listen<Traits, Value>(model: Model<Traits>, event: string, listener: (value: Value) => void): Stop {
  model.on(event, listener);
  return () => {
    model.off(event, listener);
  };
}

/** Call a function when the kernel of a widget has ended and nothing answers any more. */
export function whenKernelEnds<Traits>(model: Model<Traits>, ended: () => void): Stop {
  // While a view is shown, the widget manager changes this only when the kernel is gone.
  return listen(model, "comm_live_update", ended);
}

/** Tell Python at intervals (in seconds) that the element is on the screen; say nothing while nobody can see it. */
export function tellWhileVisible<Traits>(model: Model<Traits>, element: Element, seconds: number): Stop {
  let inside = true;
  const tell = () => {
    if (inside && !document.hidden && element.isConnected) {
      model.send({ kind: "watch" });
    }
  };
  const observer = new IntersectionObserver((entries) => {
    inside = entries.at(-1)?.isIntersecting ?? inside;
    tell();
  });
  observer.observe(element);
  document.addEventListener("visibilitychange", tell);
  const timer = setInterval(tell, seconds * 1000);
  tell();
  return () => {
    observer.disconnect();
    document.removeEventListener("visibilitychange", tell);
    clearInterval(timer);
  };
}
