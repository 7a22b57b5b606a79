"""The tutorials as pages: each notebook with its saved outputs, as Markdown, so that its links are checked too."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import plotly.io
from plotly.offline import get_plotlyjs

FOLDER = "tutorials"
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
_PLOTLY = "application/vnd.plotly.v1+json"
_SCRIPT = "plotly.min.js"
_FENCE = "`````"  # longer than any fence in a cell


def pages() -> dict[str, str]:
    """Return the text of each tutorial by its place in the site, and the script that draws their figures."""
    found = {
        f"{FOLDER}/{path.stem}.md": page(json.loads(path.read_text())) for path in sorted(NOTEBOOKS.glob("*.ipynb"))
    }
    return found | {f"{FOLDER}/{_SCRIPT}": _script()}


def pictures() -> dict[str, Path]:
    """Return the pictures that notebooks show, by their places in the site."""
    return {f"{FOLDER}/images/{path.name}": path for path in sorted((NOTEBOOKS / "images").iterdir())}


def page(notebook: Mapping[str, Any]) -> str:
    """Return a notebook as Markdown."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source:
            parts.append(f"{_FENCE}ipython3\n{source}\n{_FENCE}")
            parts += _outputs(cell["outputs"])
    return "\n\n".join(parts) + "\n"


def _outputs(outputs: list[dict[str, Any]]) -> Iterator[str]:
    for output in outputs:
        data = output.get("data", {})
        if _PLOTLY in data:
            yield _figure(data[_PLOTLY])
        elif "text/html" in data:
            yield f'<div class="output">{_on_one_line("".join(data["text/html"]))}</div>'
        else:
            text = "".join(output.get("text", data.get("text/plain", output.get("traceback", ""))))
            if text.strip():
                yield f'<pre class="output" tabindex="0">{html.escape(text.rstrip()).replace(chr(10), "&#10;")}</pre>'


def _figure(document: Mapping[str, Any]) -> str:
    figure = plotly.io.from_json(json.dumps(document), skip_invalid=True)
    shown = plotly.io.to_html(figure, include_plotlyjs=False, full_html=False)
    return f'<div class="output"><script src="{_SCRIPT}"></script>{_on_one_line(shown)}</div>'


def _on_one_line(text: str) -> str:
    """Return HTML in which a blank line cannot end the block."""
    return "\n".join(line for line in text.splitlines() if line.strip())


@cache
def _script() -> str:
    return get_plotlyjs()
