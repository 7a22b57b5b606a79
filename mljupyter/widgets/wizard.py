"""A wizard: pages of fields, one after the other, with everything typed kept and every refusal explained."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from mljupyter.errors import MLJupyterError
from mljupyter.visible import markup
from mljupyter.widgets.fields import Field
from mljupyter.widgets.serial_executor import Worker
from mljupyter.widgets.static_files import module, styles

_SHOWS_PER_SECOND = 4
_MOST_VIEWS = 8


def _nothing() -> None:
    pass


class Page:
    """One page: what it asks, what is wrong with the answers, and what its buttons do.

    Attributes:
        name: in the list of steps.
        heading: above the fields.
        about: a sentence or two below the heading.
        next_label: on the button that leads on; empty for none.
        refresh: shows the page again; may be called from any thread. The wizard sets it.

    """

    name = ""
    heading = ""
    about = ""
    next_label = "Next"
    refresh: Callable[[], None] = staticmethod(_nothing)

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
        """Return the reason why no input can lead to the next page, and the way out; empty when input can."""
        return ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return further buttons: key, label, and perhaps a reason why not, or the code it inserts."""
        return []

    def press(self, button: str) -> None:
        """Do what one of the page's own buttons stands for."""

    def moving(self) -> bool:
        """Whether work is under way on this page, so that `back` must not leave it."""
        return False

    def close(self) -> None:
        """End what the page has begun; called when the wizard is closed."""


class Wizard(anywidget.AnyWidget):
    """A wizard in a notebook. Everything it does happens on a thread of its own; the kernel stays free.

    Parameters:
        title: above all pages.
        pages: in their order.
        reopen: the line that opens the wizard again, for readers of a saved notebook.

    """

    _esm = module("wizard")
    _css = styles("wizard")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, title: str, pages: list[Page], reopen: str = "") -> None:
        self._title = title
        self._pages = pages
        self._reopen = reopen
        self._due = threading.Lock()
        self._shown_at = 0.0
        self._index = 0
        self._attempted: set[int] = set()
        self._status = ""
        self._focus: dict[str, str] | None = None
        self._attempts = 0
        self._answered: dict[str, int] = {}
        self._worker = Worker(f"mljupyter {title}", self._failed)
        for page in pages:
            page.refresh = self.refresh
        pages[0].enter()
        super().__init__(view=self._view())
        self.on_msg(self._received)
        self._worker.put(self._show)  # changes since the message was sent

    def close(self) -> None:
        """End the wizard, and what its pages have begun."""
        for page in self._pages:
            page.close()
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
        """Show what has changed, four times a second at most; may be called from any thread."""
        if self._due.acquire(blocking=False):
            wait = self._shown_at + 1 / _SHOWS_PER_SECOND - time.monotonic()
            timer = threading.Timer(max(wait, 0.0), self._worker.put, [self._catch_up])
            timer.daemon = True
            timer.start()

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        if not isinstance(message, dict):  # not from a view of ours
            return
        if message.get("kind") == "change":
            key, value = str(message.get("key")), message.get("value")
            view, number = str(message.get("view")), message.get("number")
            self._worker.put(lambda: self._answer(view, number, key, value))
        elif message.get("kind") == "press":
            self.press(str(message.get("button")))

    def _answer(self, view: str, number: Any, key: str, value: Any) -> None:
        """Take a change that a view has numbered; until it sees the number, the view keeps what the person did."""
        if isinstance(number, int):
            self._answered.pop(view, None)
            self._answered[view] = number
            for oldest in list(self._answered)[:-_MOST_VIEWS]:  # views come and go, as pages are loaded again
                del self._answered[oldest]
        self._change(key, value)

    def _change(self, key: str, value: Any) -> None:
        self._status = ""
        self.page.change(key, value)
        self._show()

    def _press(self, button: str) -> None:
        self._status = ""
        self._focus = None
        if button == "back":
            self._go(0 if self.page.moving() else -1)
        elif button == "next":
            errors = self.page.errors()
            self._attempted.add(self._index)
            if errors:
                self._attempts += 1
                self._focus = {"key": next(iter(errors)), "try": str(self._attempts)}
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

    def _catch_up(self) -> None:
        self._due.release()
        self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
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
            "answered": dict(self._answered),
        }

    def _state(self, index: int) -> str:
        return "current" if index == self._index else "done" if index < self._index else "open"

    def _buttons(self, page: Page) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self._index > 0 and not page.moving():
            found.append({"key": "back", "label": "Back"})
        found += page.buttons()
        if self._index < len(self._pages) - 1 and page.next_label:
            found.append({"key": "next", "label": page.next_label, "primary": True, "reason": page.blocked()})
        return found

    def _ipython_display_(self) -> None:
        """Show the widget, and below it the text that a saved notebook keeps; style sheets hide that beside a form."""
        from IPython.display import display

        shown = super()._repr_mimebundle_()
        data = shown[0] if isinstance(shown, tuple) else shown
        forms = (
            {**(data or {}), "text/plain": self._title},
            {"text/html": self.static_html(), "text/plain": self.static_text()},
        )
        for form in forms:
            display(form, raw=True)  # type: ignore[no-untyped-call]

    def static_text(self) -> str:
        """Return what is read where the form cannot be shown: what it was, and how to see it again."""
        again = f"run {self._reopen}" if self._reopen else "run the cell again"
        return f"{self._title}: a form that ends with its kernel. If it is not here any more, {again}."

    def static_html(self) -> str:
        """Return the same for notebooks."""
        return f'<p class="mlj-static"><em>{markup(self.static_text())}</em></p>'
