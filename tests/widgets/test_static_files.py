"""The JavaScript of the widgets that is kept with the sources: up to date, small, and complete by itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mljupyter.widgets.static_files import module, styles

ROOT = Path(__file__).parents[2]
WIDGETS = ("wizard", "monitor", "comparison", "log")
MOST_BYTES = 60_000


def test_what_is_kept_was_built_from_the_sources_beside_it() -> None:
    check = subprocess.run([sys.executable, ROOT / "widgets-js" / "built_from.py"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr


def test_a_changed_source_or_bundle_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "mljupyter" / "widgets" / "static").mkdir(parents=True)
    source = tmp_path / "widgets-js" / "src" / "a.ts"
    bundle = tmp_path / "mljupyter" / "widgets" / "static" / "a.js"
    source.parent.mkdir(parents=True)
    for name in ("build.mjs", "package.json", "package-lock.json", "tsconfig.json", "built_from.py"):
        (tmp_path / "widgets-js" / name).write_bytes((ROOT / "widgets-js" / name).read_bytes())

    def run(*arguments: str) -> int:
        return subprocess.run([sys.executable, tmp_path / "widgets-js" / "built_from.py", *arguments]).returncode

    for path in (source, bundle):
        path.write_text("1")
        assert run() == 1
        assert run("--write") == 0 and run() == 0


@pytest.mark.parametrize("name", WIDGETS)
def test_a_widget_is_one_small_module_that_loads_nothing(name: str) -> None:
    source = module(name)
    assert len(source.encode()) < MOST_BYTES
    assert re.search(r"export\s*\{\s*[\w$]+ as default\s*\}", source)
    assert not re.search(
        r"\bimport\s*[({\"'*]|\bfrom\s*[\"']|\bfetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/)", source
    )
    assert not re.search(r"@import|url\(|https?://", styles(name))


@pytest.mark.parametrize("widget", ["monitor", "comparison", "log"])
def test_a_rule_of_one_widget_does_not_change_another_one_on_the_same_page(widget: str) -> None:
    sources = {
        name: re.sub(r"/\*.*?\*/", "", (ROOT / f"widgets-js/src/{name}.css").read_text(), flags=re.DOTALL)
        for name in ("base", "panels", "monitor", "comparison", "log")
    }
    others = "".join(text for name, text in sources.items() if name != widget)
    known = set(re.findall(r"\.(mlj[\w-]*)", others))
    selectors = [one.split()[0] for rule in re.findall(r"([^{}]+)\{", sources[widget]) for one in rule.split(",")]
    shared = [one for one in selectors if set(re.findall(r"\.(mlj[\w-]*)", one)) & known]
    scopes = {
        ".mlj",
        *(one for one in selectors if one.startswith((".mlj-monitor", ".mlj-comparison", ".mlj-log-panel"))),
    }
    assert [one for one in shared if one not in scopes] == [], "name the widget first: .mlj-monitor .mlj-fields"
