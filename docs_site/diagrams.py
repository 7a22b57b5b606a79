"""Diagrams: Mermaid in a page becomes a picture when the site is built, so that readers need no script for it."""

from __future__ import annotations

import base64
import html
import re
from typing import Any

import mmdr
from pymdownx.superfences import SuperFencesException

_WIDTH = re.compile(r"max-width:\s*([\d.]+)px")
_TITLE = re.compile(r"^\s*accTitle:\s*(.+?)\s*$", re.MULTILINE)


def figure(source: str, language: str, css_class: str, options: dict[str, Any], md: object, **_: Any) -> str:
    """Return the HTML of a diagram, with its `accTitle` as the text for readers who do not see it.

    Raises:
        SuperFencesException: the text is not Mermaid, or has no `accTitle`.

    """
    title = _TITLE.search(source)
    if title is None:
        raise SuperFencesException(f"a diagram has no text for screen readers: add a line 'accTitle: ...' to\n{source}")
    try:
        picture = mmdr.render(source).svg()
    except ValueError as error:
        raise SuperFencesException(f"a diagram is not Mermaid: {error}\n{source}") from error
    width = _WIDTH.search(picture)
    size = f' style="width: {float(width[1]):.0f}px"' if width else ""
    data = base64.b64encode(picture.encode()).decode()
    return f'<img class="{css_class}" alt="{html.escape(title[1])}" src="data:image/svg+xml;base64,{data}"{size}>'
