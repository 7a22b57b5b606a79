"""Links between pages: files lie elsewhere in the repository than their pages in the site."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urlsplit

OF_THE_ROOT = {
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "SECURITY.md": "about/security-policy.md",
}
"""The page of each file of the root."""

_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")


def of_the_site(text: str, file_of_root: str | None = None) -> str:
    """Return a page's text with links to the pages of notebooks and of files of the root.

    Parameters:
        text: Markdown.
        file_of_root: the name of the file if it is one of `OF_THE_ROOT`; None for a file of docs/.

    """
    folder = "" if file_of_root else "docs"
    here = posixpath.dirname(OF_THE_ROOT[file_of_root]) if file_of_root else ""

    def link(found: re.Match[str]) -> str:
        parts = urlsplit(found[0])
        if parts.scheme or parts.netloc or not parts.path:
            return found[0]
        target = _page(posixpath.normpath(posixpath.join(folder, parts.path)))
        if target is None:
            return found[0]
        anchor = f"#{parts.fragment}" if parts.fragment else ""
        return posixpath.relpath(target, here or ".") + anchor

    return (
        _LINK.sub(link, text) if file_of_root else _LINK.sub(lambda one: link(one) if "../" in one[0] else one[0], text)
    )


def _page(path: str) -> str | None:
    """Return the place in the site of a file of the repository; None for one that has no page."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("notebooks/"):
        return f"tutorials/{path.removeprefix('notebooks/').replace('.ipynb', '.md')}"
    return OF_THE_ROOT.get(path)
