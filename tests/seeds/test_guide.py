"""Documents are read as Markdown has them, and every block of one is run or listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.seeds import guide as guides
from tests.seeds.extract import DOCUMENTS, blocks_of, main, read
from tests.seeds.guide import Change, Guide, changes, shown_as

DOCUMENT = """---
title: Not code
---
# <a name="the-guide"></a>Guide

```python
a = 1

b = a + 1
```

## <a id="the-list"></a>List

1. In a list:

    ```azurecli-interactive
    az ml model list
    ```

    > In a quote:
    >
    > ```python
    > if b:
    >     print(b)
    > ```

### Inner

 ```python
 c = 3
  ```

# Last
``` bash
ls
```
"""


def test_blocks_are_found_in_lists_and_quotes_without_what_is_before_their_lines() -> None:
    assert [(block.number, block.language, block.text) for block in blocks_of(DOCUMENT)] == [
        (1, "python", "a = 1\n\nb = a + 1"),
        (2, "azurecli-interactive", "az ml model list"),
        (3, "python", "if b:\n    print(b)"),
        (4, "python", "c = 3"),
        (5, "bash", "ls"),
    ]


def test_a_block_has_the_anchors_of_the_headings_above_it() -> None:
    assert [block.headings for block in blocks_of(DOCUMENT)] == [
        ("the-guide",),
        ("the-guide", "the-list"),
        ("the-guide", "the-list"),
        ("the-guide", "the-list", "Inner"),
        ("Last",),
    ]


def test_the_file_of_a_document_has_its_blocks_as_they_were_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.seeds.extract.DOCUMENTS", tmp_path)
    (tmp_path / "guide.md").write_text(DOCUMENT)
    main([f"guide={tmp_path / 'guide.md'}"])
    assert read("guide") == blocks_of(DOCUMENT)


def test_the_table_is_about_blocks_that_there_are_and_gives_each_one_reason() -> None:
    listed = [(document, change.block) for change in changes() for document in change.documents]
    assert len(listed) == len(set(listed))
    known = {(path.stem, block.number) for path in DOCUMENTS.glob("*.json") for block in read(path.stem)}
    assert set(listed) <= known
    assert all(len(change.why.split()) > 5 for change in changes())


def test_python_blocks_are_python_after_the_replacements() -> None:
    table = {(document, change.block): change for change in changes() for document in change.documents}
    checked = 0
    for path in DOCUMENTS.glob("*.json"):
        for block in read(path.stem):
            change = table.get((path.stem, block.number))
            if block.language == "python" and (change is None or change.replace is not None):
                compile(block.text if change is None else change.of(block.text, {}), path.stem, "exec")
                checked += 1
    assert checked > 20


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guide:
    monkeypatch.setattr("tests.seeds.extract.DOCUMENTS", tmp_path)
    (tmp_path / "guide.md").write_text(DOCUMENT)
    main([f"guide={tmp_path / 'guide.md'}"])
    table = [
        Change(("guide",), 3, "A placeholder.", (("print(b)", "print(b + {more})"),)),
        Change(("guide",), 5, "It is no Python.", None),
    ]
    monkeypatch.setattr(guides, "changes", lambda: table)
    monkeypatch.setattr("tests.cli.in_process.run", lambda *arguments: pytest.fail(f"{arguments}"))
    return Guide("guide", more=40)


def test_blocks_share_their_variables_and_the_table_replaces_text(guide: Guide) -> None:
    assert guide.run(1) == ""
    assert guide["b"] == 2
    with pytest.raises(pytest.fail.Exception, match="'az', 'ml', 'model', 'list'"):
        guide.run(2)
    assert guide.run(3) == "42\n"
    guide.run(4)
    guide.finish()


def test_a_block_that_is_neither_run_nor_listed_is_an_error(guide: Guide) -> None:
    guide.run(1)
    with pytest.raises(AssertionError, match="block 2 of guide was not run"):
        guide.run(3)
    with pytest.raises(AssertionError, match="block 2 of guide was not run"):
        guide.finish()


def test_blocks_are_run_in_their_order(guide: Guide) -> None:
    guide.run(1)
    with pytest.raises(AssertionError, match="keep its order"):
        guide.run(1)


def test_a_replacement_that_no_longer_fits_is_an_error(guide: Guide) -> None:
    change = Change(("guide",), 1, "Gone.", (("no such text", ""),))
    with pytest.raises(AssertionError, match="out of date"):
        change.of("a = 1", {})


def test_shown_output_has_any_words_in_place_of_those_in_braces(guide: Guide) -> None:
    guide.run(1)
    guide.shows(2, "az ml model list\n")
    assert shown_as("/groups/{mine}/clusters/{name}", "/Groups/one-2/clusters/A\n")
    assert not shown_as("/groups/{mine}/clusters/{name}", "/groups/one/two/clusters/A")
    assert not shown_as("a.b", "axb")
