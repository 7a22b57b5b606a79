"""Lines of the documentation outside of Python: commands and magics take their options, documents are valid."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from mljupyter.cli.flags import with_two_dashes
from mljupyter.magics.catalog import LONG, SHORT
from mljupyter.magics.parsing import parse, split
from tests.cli.test_az import command
from tests.docs.blocks import ROOT, other_blocks_of, pages

BLOCKS = [block for page in pages() for block in other_blocks_of(page)]
MAGICS = {magic.spelled.lstrip("%"): magic for magic in (*LONG, *SHORT)}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
MOST_README_LINES = 100


def lines(*languages: str) -> list[tuple[str, str]]:
    """Return the lines of blocks with the page of each; a line that ends with a backslash goes on."""
    return sorted(
        {
            (page, line)
            for page, language, text in BLOCKS
            if language in languages
            for line in text.replace("\\\n", " ").splitlines()
        }
    )


SHELL = lines("", "bash", "shell")
MAGIC_LINES = [
    (page, line) for page, line in lines("") if page != "docs/magics.md" and re.match(r"(\w+ = )?%{1,2}\w", line)
]


@pytest.mark.parametrize(("page", "line"), MAGIC_LINES)
def test_a_magic_on_a_page_exists_and_takes_its_options(page: str, line: str) -> None:
    found = re.match(r"(?:\w+ = )?%{1,2}(mlj \w+|\w+) ?(.*)$", line)
    assert found is not None
    if found[1] == "load_ext":
        assert found[2] == "mljupyter"
        return
    magic = MAGICS[found[1]]
    written = re.split(r"  # |   +", found[2])[0]  # a remark, or the same command beside it
    if words := split(written):
        assert parse(magic, words) is not None, f"{page}: {line}"


@pytest.mark.parametrize(
    ("page", "line"), [(page, line) for page, line in SHELL if re.match("mljupyter .", line) and page != "docs/cli.md"]
)
def test_a_command_on_a_page_exists_and_takes_its_options(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if words[0].startswith("-"):
        return
    for count in (3, 2, 1):
        try:
            found = command(" ".join(words[:count]))
        except AssertionError:
            continue
        break
    else:
        raise AssertionError(f"{page}: there is no such command: {line}")
    known = {name for param in found.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}
    for word in with_two_dashes(words, found.params):
        assert not re.fullmatch(r"--?[a-z][a-z-]*", word) or word in known, f"{page}: {line}"


def test_targets_of_make_and_extras_on_pages_exist() -> None:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)(?=[ `\n])", text, re.MULTILINE):
            assert target in TARGETS, f"{page.name}: make {target}"
        for named in re.findall(r"pip install '[^'\[]*\[([a-z,]+)\]'", text):
            assert set(named.split(",")) <= EXTRAS, f"{page.name}: {named}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block[1] in ("yaml", "json", "toml", "bash")])
def test_a_document_on_a_page_is_valid(block: tuple[str, str, str]) -> None:
    page, language, text = block
    if language == "bash":
        done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{page}: {done.stderr}"
    elif language == "toml":
        tomllib.loads(text)
    else:
        document = re.sub(r"\A%%.*\n", "", text)  # the line of a magic above its body
        list(yaml.safe_load_all(document)) if language == "yaml" else json.loads(document)


def test_the_readme_is_short_and_its_story_comes_first() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < MOST_README_LINES
    story = ["pip install '.[lab]'", "%load_ext mljupyter", "ridge = Ridge().fit(", "%deploy diabetes ridge"]
    places = [text.index(part) for part in story]
    assert places == sorted(places)
    blocks = re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)
    assert "pip install" in blocks[0] and "%deploy diabetes ridge" in blocks[3]
    for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert Path(ROOT, picture).stat().st_size < 2_000_000
