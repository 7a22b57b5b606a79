/** Small help with the DOM, put in front of every widget's module: `source.py` joins them. */

const MARKS = { ok: "✓", failed: "✗", warning: "!", running: "◐", waiting: "·", skipped: "–" };
const COLOURS = [1, 2, 3, 4, 5, 6].map((number) => `var(--mlj-colour-${number})`);

/** Make an element with attributes and children; functions become listeners. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

/** Set or remove an attribute, only if that changes it. */
function attribute(element, name, value) {
  if (value === undefined || value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Set the text of an element, only if that changes it: what a person has selected stays selected. */
function text(element, value) {
  if (element.textContent !== (value ?? "")) element.textContent = value ?? "";
}

/** Draw children for items, keeping the element of each key; `draw` makes one, `update` brings it up to date. */
function keyed(parent, items, draw, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    let child = known.get(item.key);
    if (!child || child.dataset.kind !== (item.kind ?? "")) {
      child?.remove();
      child = draw(item);
      child.dataset.key = item.key;
      child.dataset.kind = item.kind ?? "";
    }
    known.delete(item.key);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
    update(child, item);
  });
  for (const child of known.values()) child.remove();
}

/** Put text on the clipboard, and say so on the button; where that is not allowed, select it. */
async function copied(button, value, shown = button.previousSibling) {
  const label = button.dataset.label ??= button.textContent;
  try {
    await navigator.clipboard.writeText(value);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy";
    if (shown) getSelection().selectAllChildren(shown);
  }
  setTimeout(() => { button.textContent = label; }, 2000);
}

const ENDED = "The kernel has ended. Run the cell again to see it live.";

/** Do something when the kernel of a widget has ended: nothing answers any more. Return how to stop listening. */
function endsWithKernel(model, ended) {
  // Once a view is there, the widget manager sets this only when the kernel is gone.
  model.on("comm_live_update", ended);
  return () => model.off("comm_live_update", ended);
}

/** Tell Python every few seconds that somebody looks at this widget, and nothing while nobody does. */
function watched(model, element, seconds) {
  let inside = true;
  const look = () => { if (inside && !document.hidden && element.isConnected) model.send({ kind: "watch" }); };
  const observer = new IntersectionObserver((entries) => { inside = entries.at(-1).isIntersecting; look(); });
  observer.observe(element);
  document.addEventListener("visibilitychange", look);
  const timer = setInterval(look, seconds * 1000);
  look();
  return () => { observer.disconnect(); document.removeEventListener("visibilitychange", look); clearInterval(timer); };
}
