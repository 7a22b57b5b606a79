"""A wizard: a sequence of pages with fields. It keeps all input and explains every error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from mljupyter.errors import said_of
from mljupyter.outside import whole
from mljupyter.widgets.fields import Field
from mljupyter.widgets.saved_state import SavedState, state_of_form
from mljupyter.widgets.serial_executor import Worker
from mljupyter.widgets.static_files import module, styles

_STEP = "step "
_SHOWS_PER_SECOND = 4
_MOST_VIEWS = 8
_SAVE_SECONDS = 2.0
_TYPED_AGAIN = "This is what was typed before. The form was opened anew, and nothing has been started again."


def _nothing() -> None:
    pass


class Page:
    """A page of a wizard: its fields, their errors, and its buttons.

    Attributes:
        name: its name in the list of steps.
        heading: the heading above the fields.
        about: a sentence or two below the heading.
        next_label: the label of the button to the next page; empty for no button.
        starts: whether opening the page starts what the wizard is for, so that only the button before it leads there.
        refresh: shows the page again; may be called from any thread. The wizard sets it.

    """

    name = ""
    heading = ""
    about = ""
    next_label = "Next"
    starts = False
    refresh: Callable[[], None] = staticmethod(_nothing)

    def enter(self) -> None:
        """Load the data of the page; called each time the page is opened."""

    def fields(self) -> list[Field]:
        """Return the fields with their present values."""
        return []

    def change(self, key: str, value: Any) -> None:
        """Set the value of a field."""

    def check_again(self) -> None:
        """Forget the results of earlier checks; called each time somebody wants to leave the page forwards."""

    def errors(self) -> dict[str, str]:
        """Return all errors of the page by the key of the field; empty if the page is complete."""
        return {}

    def blocked(self) -> str:
        """Return the reason why no input can complete the page, with a solution; empty if input can."""
        return ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return additional buttons: key, label, and optionally the reason why it is disabled, or its code."""
        return []

    def press(self, button: str) -> None:
        """Run the action of one of the page's own buttons."""

    def following(self) -> list[Page] | None:
        """Return the pages that follow this one if they depend on its input; None if they are always the same."""
        return None

    def moving(self) -> bool:
        """Whether an operation is running on this page, so that `back` must not leave it."""
        return False

    def close(self) -> None:
        """End the operations of the page; called when the wizard is closed."""


class Wizard(anywidget.AnyWidget):
    """A wizard in a notebook. It works on its own thread, so the kernel stays free.

    Parameters:
        title: the title above all pages.
        pages: the pages in order.
        reopen: the line that opens the wizard again, for a saved notebook.

    """

    _esm = module("wizard")
    _css = styles("wizard")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, title: str, pages: list[Page], reopen: str = "") -> None:
        self._title = title
        self._pages = pages
        self._opened = list(pages)  # with those of other choices
        self._reopen = reopen
        self._due = threading.Lock()
        self._saving = threading.Lock()
        self._saved = SavedState(_SAVE_SECONDS, _SAVE_SECONDS)
        self._shown_at = 0.0
        self._index = 0
        self._attempted: set[int] = set()
        self._status = ""
        self._focus: dict[str, str] | None = None
        self._attempts = 0
        self._goal: int | None = None  # a step that is opened as soon as a check on the way has ended
        self._kept: dict[str, list[tuple[str, Any]]] = {}  # typed into an earlier form, by the step; see _bring_back
        self._answered: dict[str, int] = {}
        self._is_over = False
        self._worker = Worker(f"mljupyter {title}", self._failed)
        for page in pages:
            page.refresh = self.refresh
        pages[0].enter()
        super().__init__(view=self._view())
        self.on_msg(self._received)
        self._worker.put(self._show)  # changed since the message was sent

    def close(self) -> None:
        """Close the wizard, and end the operations of its pages."""
        self._is_over = True
        for page in self._opened:
            page.close()
        self._worker.close()
        if self.view:  # one that could not be opened has none
            self._saved.update(self._state())
        super().close()

    def settled(self, seconds: float = 30) -> bool:
        """Wait until all input so far is processed; return whether it is."""
        return self._worker.wait(seconds)

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self._pages[self._index]

    def change(self, key: str, value: Any) -> None:
        """Set a field of the current page."""
        self._worker.put(lambda: self._change(key, value))

    def press(self, button: str) -> None:
        """Press a button: ``next``, ``back``, or one of the page's own."""
        self._worker.put(lambda: self._press(button))

    def refresh(self) -> None:
        """Update the view, at most four times a second; may be called from any thread."""
        if self._due.acquire(blocking=False):
            wait = self._shown_at + 1 / _SHOWS_PER_SECOND - time.monotonic()
            timer = threading.Timer(max(wait, 0.0), self._worker.put, [self._catch_up])
            timer.daemon = True
            timer.start()

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        if not isinstance(message, dict):  # not from a view of this widget
            return
        if message.get("kind") == "change":
            key, value = str(message.get("key")), message.get("value")
            self._worker.put(lambda: self._answer(message, lambda: self._change(key, value)))
        elif message.get("kind") == "press":
            button = str(message.get("button"))
            self._worker.put(lambda: self._answer(message, lambda: self._press(button)))
        elif message.get("kind") == "typed":
            self._worker.put(lambda: self._bring_back(message.get("pages"), message.get("step")))

    def _answer(self, message: dict[str, Any], act: Callable[[], None]) -> None:
        """Handle a numbered change or press of a view; until the view gets that number back, it keeps its own input."""
        view, number = str(message.get("view")), message.get("number")
        if isinstance(number, int):
            self._answered.pop(view, None)
            self._answered[view] = number
            for oldest in list(self._answered)[:-_MOST_VIEWS]:  # views are created again when a page is reloaded
                del self._answered[oldest]
        act()

    def _change(self, key: str, value: Any) -> None:
        self._status = ""
        self._focus = self._goal = None
        self.page.change(key, value)
        self._lead_on()
        self._show()

    def _press(self, button: str) -> None:
        self._status = ""
        self._focus = self._goal = None
        if button == "back":
            self._go(0 if self.page.moving() else -1)
        elif button == "next":
            self._leave()
        elif button.startswith(_STEP):
            self._open(whole(button.removeprefix(_STEP)))
        else:
            self.page.press(button)
        self._show()

    def _leave(self) -> bool:
        """Go to the next page if this one is complete; otherwise send the focus to its first wrong field, once."""
        self.page.check_again()
        errors = self.page.errors()
        self._attempted.add(self._index)
        if errors:
            wrong = [field["key"] for field in self.page.fields() if field["key"] in errors]
            self._attempts += 1
            self._focus = {"key": (wrong or list(errors))[0], "try": str(self._attempts)}
            return False
        if self.page.blocked():
            return False
        self._go(1)
        return True

    def _open(self, index: int | None) -> None:
        """Open another step. On the way forward, a page that is not complete stops it."""
        if index is None or not 0 <= index < len(self._pages):
            return
        if reason := self._barrier(index):
            self._status = reason
        elif index < self._index:
            self._go(index - self._index)
        else:
            while self._index < index:
                if not self._leave():
                    self._status = self.page.blocked()
                    self._goal = index if self._status else None
                    return

    def _bring_back(self, pages: Any, step: Any) -> None:
        """Fill in what was typed into an earlier form, and go on to the step that it showed.

        A page that is not complete stops the way there; later pages are filled in when they are opened. No step that
        starts something is opened.

        Parameters:
            pages: pairs of key and value in their order, by the name of the step.
            step: the name of the step.

        """
        if self.page.moving():
            return
        self._kept = _typed_by_step(pages)
        self._fill_in()
        names = [page.name for page in self._pages]
        index = names.index(step) if step in names else self._index
        while self._barrier(index):
            index -= 1
        self._open(index)
        self._status = self._status or _TYPED_AGAIN
        self._show()

    def _fill_in(self) -> None:
        """Give the current page what was typed into it in an earlier form."""
        for key, value in self._kept.pop(self.page.name, []):
            self.page.change(key, value)
            self._lead_on()

    def _lead_on(self) -> None:
        """Replace the pages after the current one by those that its input leads to."""
        following = self.page.following()
        if following is None or following == self._pages[self._index + 1 :]:
            return
        for page in following:
            page.refresh = self.refresh
        self._attempted = {index for index in self._attempted if index <= self._index}
        self._pages = [*self._pages[: self._index + 1], *following]
        self._opened += [page for page in following if page not in self._opened]

    def _go(self, steps: int) -> None:
        target = min(max(self._index + steps, 0), len(self._pages) - 1)
        if target != self._index:
            self._pages[target].enter()
            self._index = target
            self._fill_in()

    def _failed(self, error: Exception) -> None:
        """Show an error on the current page."""
        self._status = said_of(error)
        self._show()

    def _catch_up(self) -> None:
        self._due.release()
        if self._goal is not None:
            self._status = self.page.blocked()
            if not self._status:
                goal, self._goal = self._goal, None
                self._open(goal)
        self._show()

    def _show(self) -> None:
        if self._is_over:  # the files that pages read may be gone
            return
        self._shown_at = time.monotonic()
        try:
            view = self._view()
        except Exception as error:  # noqa: BLE001 (the last view stays, with the reason until the page can be shown)
            status = "\n".join(dict.fromkeys(filter(None, [self._status, said_of(error)])))
            view = {**self.view, "status": status, "answered": dict(self._answered)}
        if view != self.view:
            self.view = view
            self._save_soon()

    def _view(self) -> dict[str, Any]:
        page = self.page
        errors = dict(page.errors()) if self._index in self._attempted else {}
        fields = [{**field, "error": errors.pop(field["key"], "")} for field in page.fields()]
        return {
            "title": self._title,
            "steps": [
                {"name": other.name, "state": self._step(index), "reason": self._barrier(index)}
                for index, other in enumerate(self._pages)
            ],
            "heading": page.heading,
            "about": page.about,
            "fields": fields,
            "buttons": self._buttons(page),
            "status": "\n".join([*filter(None, [self._status]), *errors.values()]),  # those of no field as well
            "focus": self._focus,
            "answered": dict(self._answered),
        }

    def _step(self, index: int) -> str:
        return "current" if index == self._index else "done" if index < self._index else "open"

    def _barrier(self, index: int) -> str:
        """Return the reason why a step cannot be opened; empty if it can."""
        if index == self._index:
            return ""
        if self.page.moving():
            return "It is running: wait for its end, or cancel it."
        for before, page in zip(self._pages, self._pages[1 : index + 1], strict=False):
            if page.starts:
                return f"{page.name} begins with {before.next_label!r} of the step {before.name!r}."
        return ""

    def _buttons(self, page: Page) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        if self._index > 0 and not page.moving():
            found.append({"key": "back", "label": "Back"})
        found += page.buttons()
        if self._index < len(self._pages) - 1 and page.next_label:
            found.append({"key": "next", "label": page.next_label, "primary": True, "reason": page.blocked()})
        return found

    def _ipython_display_(self) -> None:
        """Show the form, and below it the state that a saved notebook keeps."""
        shown = super()._repr_mimebundle_()
        data = shown[0] if isinstance(shown, tuple) else shown
        self._saved.show(data or {}, self._title, self._state())

    def _state(self) -> dict[str, str]:
        again = f"run {self._reopen}" if self._reopen else "run the cell again"
        return state_of_form(self.view, f"A form ends with its kernel. To open it again, {again}.")

    def _save_soon(self) -> None:
        """Update the saved state when that is due next, once for all changes until then."""
        if self._saving.acquire(blocking=False):
            timer = threading.Timer(self._saved.wait_seconds(), self._save)
            timer.daemon = True
            timer.start()

    def _save(self) -> None:
        self._saving.release()
        self._saved.update(self._state())


def _typed_by_step(pages: Any) -> dict[str, list[tuple[str, Any]]]:
    """Return what a page has kept of an earlier form, without what is malformed."""
    if not isinstance(pages, dict):
        return {}
    return {
        str(step): [(str(pair[0]), pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2]
        for step, pairs in pages.items()
        if isinstance(pairs, list)
    }
