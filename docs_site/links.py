"""Links between pages: files lie elsewhere in the repository than their pages in the site."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

OF_THE_ROOT = {
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "SECURITY.md": "about/security-policy.md",
}
"""The page of each file of the root."""

_ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s]+)\)")


def of_the_site(text: str, place: str) -> str:
    """Return a page's text with the links of its file turned into links of the site.

    A link to a file of the repository without a page becomes its text.

    Parameters:
        text: Markdown.
        place: the place of the page in the site, such as ``tutorials/01-quickstart.md``.

    """
    source = posixpath.dirname(_file(place))

    def link(found: re.Match[str]) -> str:
        parts = urlsplit(found[2])
        if parts.scheme or parts.netloc or not parts.path:
            return found[0]
        file = posixpath.normpath(posixpath.join(source, parts.path))
        page = _page(file)
        if page is None:
            return found[1] if (_ROOT / file).is_file() else found[0]
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        return f"[{found[1]}]({posixpath.relpath(page, posixpath.dirname(place) or '.')}{anchor})"

    return _LINK.sub(link, text)


def _file(place: str) -> str:
    """Return the file of the repository that a page of the site is made from."""
    if place.startswith("tutorials/"):
        return f"notebooks/{place.removeprefix('tutorials/').removesuffix('.md')}.ipynb"
    return next((file for file, page in OF_THE_ROOT.items() if page == place), f"docs/{place}")


def _page(file: str) -> str | None:
    """Return the place in the site of a file of the repository; None for one that has no page."""
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    if file.startswith("notebooks/"):
        name = file.removeprefix("notebooks/")
        return f"tutorials/{name.removesuffix('.ipynb')}.md" if name.endswith(".ipynb") else f"tutorials/{name}"
    return OF_THE_ROOT.get(file)
