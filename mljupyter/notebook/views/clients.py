"""How other programs call an endpoint, as a view."""

from __future__ import annotations

from mljupyter.core.display import snippets_html
from mljupyter.engine.endpoints.client_snippets import ClientSnippets
from mljupyter.notebook.views.views import View
from mljupyter.visible import markup


class Clients(View):
    """The scoring URI, and snippets for curl and Python; the key is read from a variable."""

    def __init__(self, snippets: ClientSnippets) -> None:
        self.snippets = snippets

    def text(self) -> str:
        """Return the parts with headings."""
        found = self.snippets
        parts = {"Scoring URI": found.uri, "Key": found.key_hint, "Example": found.request_hint}
        parts |= {"curl": found.curl, "Python": found.python}
        return "\n\n".join(f"{name}:\n{text}" for name, text in parts.items() if text)

    def html(self) -> str:
        """Return the same, with texts that a click selects."""
        parts = snippets_html(self.snippets).replace("<details>", "<details open>", 1)
        return f"<div>Scoring URI: <code>{markup(self.snippets.uri)}</code></div>{parts}"
