"""A wizard: pages of fields, one after the other, with everything typed kept and every refusal explained."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from mljupyter.errors import MLJupyterError
from mljupyter.widgets.fields import Field
from mljupyter.widgets.worker import Worker

_HERE = Path(__file__).parent


class Page:
    """One page: what it asks, what is wrong with the answers, and what its buttons do.

    Attributes:
        name: in the list of steps.
        heading: above the fields.
        about: a sentence or two below the heading.
        next_label: on the button that leads on.

    """

    name = ""
    heading = ""
    about = ""
    next_label = "Next"

    def enter(self) -> None:
        """Get what the page needs to be shown; called each time it is reached."""

    def fields(self) -> list[Field]:
        """Return what the page shows, with the values so far."""
        return []

    def change(self, key: str, value: Any) -> None:
        """Take what somebody typed or chose."""

    def errors(self) -> dict[str, str]:
        """Return what is wrong, by the key of the field; empty when the page is complete."""
        return {}

    def blocked(self) -> str:
        """Return why there is no way on whatever is typed, and what to do; empty when there is."""
        return ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return further buttons: key, label, and perhaps a reason why not, or the code it inserts."""
        return []

    def press(self, button: str) -> None:
        """Do what one of the page's own buttons stands for."""


class Wizard(anywidget.AnyWidget):
    """A wizard in a notebook. Everything it does happens on a thread of its own; the kernel stays free.

    Parameters:
        title: above all pages.
        pages: in their order.

    """

    _esm = _HERE / "wizard.js"
    _css = _HERE / "wizard.css"
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, title: str, pages: list[Page]) -> None:
        self._title = title
        self._pages = pages
        self._index = 0
        self._attempted: set[int] = set()
        self._status = ""
        self._focus: dict[str, str] | None = None
        pages[0].enter()
        super().__init__(view=self._view())
        self._worker = Worker(f"mljupyter {title}", self._failed)
        self.on_msg(self._received)

    def close(self) -> None:
        """End the wizard."""
        self._worker.close()
        super().close()

    def settled(self, seconds: float = 30) -> bool:
        """Wait until everything pressed and typed so far has had its effect; return whether it has."""
        return self._worker.wait(seconds)

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self._pages[self._index]

    def change(self, key: str, value: Any) -> None:
        """Answer a field of the page that is shown."""
        self._worker.put(lambda: self._change(key, value))

    def press(self, button: str) -> None:
        """Press a button: ``next``, ``back``, or one of the page's own."""
        self._worker.put(lambda: self._press(button))

    def refresh(self) -> None:
        """Show what has changed; may be called from any thread."""
        self._worker.put(self._show)

    def _received(self, _: Any, message: dict[str, Any], buffers: Any) -> None:
        if message.get("kind") == "change":
            self.change(str(message.get("key")), message.get("value"))
        elif message.get("kind") == "press":
            self.press(str(message.get("button")))

    def _change(self, key: str, value: Any) -> None:
        self._status = ""
        self.page.change(key, value)
        self._show()

    def _press(self, button: str) -> None:
        self._status = ""
        self._focus = None
        if button == "back":
            self._go(-1)
        elif button == "next":
            errors = self.page.errors()
            self._attempted.add(self._index)
            if errors:
                self._focus = {"key": next(iter(errors)), "try": str(len(self._attempted))}
            elif not self.page.blocked():
                self._go(1)
        else:
            self.page.press(button)
        self._show()

    def _go(self, steps: int) -> None:
        target = min(max(self._index + steps, 0), len(self._pages) - 1)
        if target != self._index:
            self._pages[target].enter()
            self._index = target

    def _failed(self, error: Exception) -> None:
        """Show what went wrong where the person is looking; our own errors say it in words for them."""
        known = isinstance(error, MLJupyterError)
        self._status = str(error) if known else f"{type(error).__name__}: {error}"
        self._show()

    def _show(self) -> None:
        view = self._view()
        if view != self.view:
            self.view = view

    def _view(self) -> dict[str, Any]:
        page = self.page
        errors = page.errors() if self._index in self._attempted else {}
        return {
            "title": self._title,
            "steps": [{"name": other.name, "state": self._state(index)} for index, other in enumerate(self._pages)],
            "heading": page.heading,
            "about": page.about,
            "fields": [{**field, "error": errors.get(field["key"], "")} for field in page.fields()],
            "buttons": self._buttons(page),
            "status": self._status,
            "focus": self._focus,
        }

    def _state(self, index: int) -> str:
        return "current" if index == self._index else "done" if index < self._index else "open"

    def _buttons(self, page: Page) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self._index > 0:
            found.append({"key": "back", "label": "Back"})
        found += page.buttons()
        if self._index < len(self._pages) - 1 and page.next_label:
            found.append({"key": "next", "label": page.next_label, "primary": True, "reason": page.blocked()})
        return found

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a text and an HTML form: a saved notebook stays readable."""
        shown = super()._repr_mimebundle_(**kwargs)
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        text = f"{self._title} (a form; run the cell again to see it)"
        data = {**(data or {}), "text/plain": text, "text/html": f"<p><em>{html.escape(text)}</em></p>"}
        return data, metadata
