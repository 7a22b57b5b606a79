"""Every page of the site is in its navigation, and every class, notebook and document has a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs_site import document_pages, hooks, links, sdk_pages, tutorial_pages
from mljupyter import core
from tests.docs.blocks import ROOT


class _Loader(yaml.SafeLoader):
    """A reader of mkdocs.yml that takes names of Python for nothing."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: None)


def entries(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from (page for value in nav.values() for page in entries(value))
    else:
        yield from (page for value in nav for page in entries(value))


@pytest.fixture(scope="module")
def navigation() -> list[str]:
    configuration = yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)
    return list(entries(configuration["nav"]))


def test_every_page_of_docs_is_in_the_navigation_once(navigation: list[str]) -> None:
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert not there - set(navigation), "add a line to `nav` in mkdocs.yml"
    assert len(navigation) == len(set(navigation))


def test_every_added_page_is_in_the_navigation(navigation: list[str]) -> None:
    added = {*sdk_pages.pages(), *document_pages.pages(), *tutorial_pages.pages(), *links.OF_THE_ROOT.values()}
    assert {place for place in added if place.endswith(".md")} <= set(navigation)


def test_every_name_of_the_sdk_is_in_the_reference() -> None:
    described = "\n".join(sdk_pages.pages().values())
    for name in core.__all__:
        value = getattr(core, name)
        if hasattr(value, "__qualname__"):
            assert f"::: {value.__module__}.{value.__qualname__}\n" in described


def test_a_class_without_a_subject_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk_pages, "public", lambda: {"mljupyter.core.unheard.Of"})
    with pytest.raises(LookupError, match="add 'unheard' to a subject"):
        sdk_pages.by_subject()


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        ("images.md", "[x](../CHANGELOG.md)", "[x](about/changelog.md)"),
        ("images.md", "[x](../notebooks/09-kubernetes.ipynb#a)", "[x](tutorials/09-kubernetes.md#a)"),
        ("images.md", "![x](images/a.png) [y](faults.md#b)", "![x](images/a.png) [y](faults.md#b)"),
        ("images.md", "[x](https://example.org/../a) [y](#b)", "[x](https://example.org/../a) [y](#b)"),
        ("images.md", "[x](../LICENSE) [y](../absent)", "x [y](../absent)"),
        ("about/contributing.md", "[x](docs/images.md) [y](SECURITY.md)", "[x](../images.md) [y](security-policy.md)"),
        ("tutorials/09-kubernetes.md", "[x](../docs/images.md)", "[x](../images.md)"),
        ("tutorials/09-kubernetes.md", "![x](images/a.svg)", "![x](images/a.svg)"),
    ],
)
def test_links_between_files_become_links_between_pages(place: str, text: str, expected: str) -> None:
    assert links.of_the_site(text, place) == expected


def test_a_page_that_loads_from_another_host_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Page:
        class file:  # noqa: N801 - the name of mkdocs
            src_uri = "a.md"

    hooks.on_post_page('<script src="https://example.org/x.js"></script><a href="https://example.org">ok</a>', Page)
    assert caplog.messages == ["a.md loads https://example.org/x.js"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 65535}, "whole number, 1 to 65535"),
        ({"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, "whole number"),
        ({"anyOf": [{"$ref": "#/$defs/RateLimit"}, {"type": "null"}]}, "[RateLimit](#ratelimit)"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "mapping of names to number"),
        ({"type": "string", "pattern": "^a$", "maxLength": 3}, "text that matches `^a$`, at most 3 characters"),
    ],
)
def test_a_schema_is_told_in_words(schema: dict[str, Any], expected: str) -> None:
    assert document_pages.kind(schema) == expected


def test_a_notebook_becomes_a_page_with_its_saved_outputs() -> None:
    cell = {"cell_type": "code", "source": ["%endpoints\n", "1"], "outputs": []}
    cell["outputs"] = [
        {"output_type": "stream", "text": ["a <b>\n", "\n", "c"]},
        {"output_type": "display_data", "data": {"text/html": "<p>x</p>\n\n<p>y</p>", "text/plain": "no"}},
    ]
    text = tutorial_pages.page({"cells": [{"cell_type": "markdown", "source": ["# Title"]}, cell]})
    assert text.startswith("# Title\n\n`````ipython3\n%endpoints\n1\n`````\n\n")
    assert "a &lt;b&gt;&#10;&#10;c</pre>" in text
    assert '<div class="output"><p>x</p>\n<p>y</p></div>' in text and "no" not in text


def test_the_tutorials_of_the_site_are_the_notebooks() -> None:
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {Path(place).stem for place in tutorial_pages.pages() if place.endswith(".md")} == notebooks
