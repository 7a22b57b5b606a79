"""State of a widget in a saved notebook: an output below the view, which a reader sees once the kernel has ended.

A front end prefers the mime type of a widget to every other one of the same output, and shows an error when the kernel
no longer has the widget. The state is therefore an output of its own. Style sheets hide it beside a view that works,
and hide the view where there is none.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from mljupyter.notebook.views.views import Table
from mljupyter.visible import markup, visible
from mljupyter.widgets.kernel import has_kernel

_NO_VIEW = "<!-- the live view; its last state is below -->"  # for readers that prefer HTML and know no widgets
_MOST_LINES = 20

STYLE = """\
.jp-OutputArea-child:has(+ .jp-OutputArea-child .mlj-static) > .jp-OutputArea-output:not(:has(*)) {
  display: none;
}
"""
"""The rule that hides an empty view, one that is loading or that failed, above its saved state.

It is part of the output, so it needs no extension. JupyterLab removes it from a notebook that is not trusted, and shows
no widgets there anyway.
"""

_RAW = frozenset({"text", "choice", "cards", "check", "split"})


class SavedState:
    """The output with the last state of a widget.

    Parameters:
        first: the least seconds before the first update.
        most: the most seconds between updates; the pause doubles with each update until then.

    """

    def __init__(self, first: float, most: float) -> None:
        self._id = f"mljupyter-{uuid.uuid4().hex}"
        self._pause = first
        self._most = most
        self._shown: Mapping[str, str] | None = None
        self._at = 0.0
        self._lock = threading.Lock()

    def show(self, view: Mapping[str, Any], title: str, forms: Mapping[str, str]) -> None:
        """Display the view and below it the state.

        Parameters:
            view: the mime bundle of the widget.
            title: the text of the view for a terminal.
            forms: the state by mime type.

        """
        from IPython.display import display

        display({**view, "text/html": _NO_VIEW, "text/plain": title}, raw=True)  # type: ignore[no-untyped-call]
        with self._lock:
            self._shown, self._at = forms, time.monotonic()
            display(forms, raw=True, display_id=self._id)  # type: ignore[no-untyped-call]

    def wait_seconds(self) -> float:
        """Return the seconds until an update is due; 0 if it is due now."""
        return max(self._at + self._pause - time.monotonic(), 0.0)

    def update(self, forms: Mapping[str, str]) -> None:
        """Replace the state in the notebook, if it has changed; may be called from any thread."""
        with self._lock:
            if self._shown is None or self._shown == forms or not has_kernel():
                return
            from IPython.display import display

            self._shown, self._at = forms, time.monotonic()
            self._pause = min(2 * self._pause, self._most)
            display(forms, raw=True, display_id=self._id, update=True)  # type: ignore[no-untyped-call]


def state_of(text: str, html: str, again: str) -> dict[str, str]:
    """Return a state by mime type.

    Parameters:
        text: the state as text.
        html: the state as HTML.
        again: the sentence about how to see it live again.

    """
    note = f"<p><em>{markup(again)}</em></p>"
    return {
        "text/plain": f"{text}\n{visible(again)}".lstrip("\n"),
        "text/html": f'<style>{STYLE}</style><div class="mlj-static">{html}{note}</div>',
    }


def state_of_form(view: Mapping[str, Any], again: str) -> dict[str, str]:
    """Return the state of a wizard by mime type.

    Parameters:
        view: the page of the wizard as data.
        again: the sentence about how to see it live again.

    """
    steps = [step["name"] for step in view["steps"]]
    current = next((number for number, step in enumerate(view["steps"], 1) if step["state"] == "current"), 1)
    place = f", step {current} of {len(steps)}" if len(steps) > 1 else ""
    title = f"{view['title']}{place}: {view['heading']}"
    texts, htmls = [visible(title)], [f"<p><b>{markup(title)}</b></p>"]
    rows = [pair for field in view["fields"] if field["kind"] in _RAW for pair in _rows_of(field)]
    if rows:
        table = Table(["Field", "Value"], rows, rows, "")
        texts.append(table.text())
        htmls.append(table.html())
    for field in view["fields"]:
        if field["kind"] not in _RAW and not field.get("folded"):
            text, html = _block_of(field)
            texts.append(text)
            htmls.append(f"<p>{markup(field['label'])}</p>{html}")
    if view["status"]:
        texts.append(visible(view["status"]))
        htmls.append(f"<p>{markup(view['status'])}</p>")
    return state_of("\n".join(texts), "".join(htmls), again)


def _rows_of(field: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of a field that a person fills in."""
    if field["kind"] == "split":
        value = ", ".join(f"{part['name']} {part['percent']} %" for part in field["parts"])
    elif field["kind"] == "check":
        value = "yes" if field["value"] else "no"
    else:
        labels = {option["value"]: option["label"] for option in field.get("options", ())}
        value = str(field["value"])  # a page may have sent anything
        value = labels.get(value, value)
    error = field.get("error") or ""
    return [(field["label"], f"{value} ({error})" if error else value)]


def _block_of(field: Mapping[str, Any]) -> tuple[str, str]:
    """Return a field that shows something, as text and HTML."""
    if field["kind"] == "table":
        table = Table(field["columns"], field["rows"], field["rows"], "none")
    elif field["kind"] == "summary":
        table = Table(["", ""], field["rows"], field["rows"], "none")
    elif field["kind"] == "stages":
        rows = [(stage["name"], stage["state"], stage["remark"]) for stage in field["stages"]]
        table = Table(["Stage", "State", ""], rows, rows, "none")
    else:
        return _last_lines(str(field.get("value", "")))
    return table.text(), table.html()


def _last_lines(text: str) -> tuple[str, str]:
    shown = "\n".join(text.splitlines()[-_MOST_LINES:])
    return visible(shown), f"<pre>{markup(shown)}</pre>"
