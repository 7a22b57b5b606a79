"""The quickstart for tests that need not run all of it: ``make notebooks`` runs every cell and compares the outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

QUICKSTART = Path(__file__).parents[1] / "notebooks" / "01-quickstart.ipynb"


def shortened() -> dict[str, Any]:
    """Return the notebook without the code between the first answer and the cells that remove everything."""
    document: dict[str, Any] = json.loads(QUICKSTART.read_text(encoding="utf-8"))
    sources = ["".join(cell["source"]) if cell["cell_type"] == "code" else "" for cell in document["cells"]]
    answered = next(number for number, source in enumerate(sources) if source.startswith("%invoke"))
    removed = next(number for number, source in enumerate(sources) if source.startswith("%undeploy"))
    document["cells"] = [
        cell
        for number, cell in enumerate(document["cells"])
        if cell["cell_type"] != "code" or not answered < number < removed
    ]
    return document


def code(document: dict[str, Any]) -> list[str]:
    """Return the text of the code cells of a notebook."""
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]
