"""Hooks of mkdocs: they add the tutorials, the reference and the files of the root to the pages in docs/.

mkdocs calls each function by its name. The decisions are in the modules beside this one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs_site import document_pages, links, sdk_pages, tutorial_pages

ROOT = Path(__file__).parents[1]
_log = logging.getLogger("mkdocs.hooks.site")  # a warning fails a strict build
_SEARCH = 'data-md-component="search" role="dialog"'
_LOADED = re.compile(
    r"<(?:audio|iframe|img|link|script|source|video)\b[^>]*\s(?:href|src|srcset)=\"?((?:https?:)?//[^\s\">]+)"
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add everything that is not a file of docs/."""
    for file in added(config):
        files.append(file)
    return files


def added(config: MkDocsConfig) -> Iterator[File]:
    """Yield the files that are not in docs/: tutorials with their pictures, files of the root, generated pages."""
    for place, path in tutorial_pages.pictures().items():
        yield File.generated(config, place, abs_src_path=str(path))
    for name, place in links.OF_THE_ROOT.items():
        yield File.generated(config, place, content=(ROOT / name).read_text(encoding="utf-8"))
    for place, text in {**sdk_pages.pages(), **document_pages.pages(), **tutorial_pages.pages()}.items():
        yield File.generated(config, place, content=text)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text with links that lead to pages of the site, and with Markdown inside of `details`."""
    return links.of_the_site(markdown, page.file.src_uri).replace("<details>", '<details markdown="1">')


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Return a page with a name for the search. Warn about all that it would load from other hosts."""
    for address in _LOADED.findall(output):
        _log.warning("%s loads %s", page.file.src_uri, address)
    return output.replace(_SEARCH, f'{_SEARCH} aria-label="Search"')
