"""The numbers with which a view knows whether Python has seen what the person did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mljupyter.widgets import fields
from mljupyter.widgets.wizard import Page, Wizard


class Asked(Page):
    """A page with one box to tick, which may refuse."""

    name = heading = "Asked"

    def __init__(self) -> None:
        self.ticked = False

    def fields(self) -> list[fields.Field]:
        return [fields.check("key", "Use a key", self.ticked)]

    def change(self, key: str, value: Any) -> None:
        if value == "refused":
            raise ValueError("refused")
        self.ticked = bool(value)

    def errors(self) -> dict[str, str]:
        return {} if self.ticked else {"key": "Tick it."}


@pytest.fixture
def wizard() -> Iterator[Wizard]:
    found = Wizard("Ask", [Asked(), Page()])
    yield found
    found.close()


def receive(wizard: Wizard, value: Any, view: Any = "first", number: Any = 1) -> dict[str, Any]:
    content = {"kind": "change", "key": "key", "value": value, "view": view, "number": number}
    wizard._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    assert wizard.settled()
    return dict(wizard.view)


def test_a_view_says_up_to_which_change_it_has_come_for_each_sender(wizard: Wizard) -> None:
    assert wizard.view["answered"] == {}
    view = receive(wizard, True, "first", 1)
    assert view["answered"] == {"first": 1} and view["fields"][0]["value"] is True
    receive(wizard, False, "second", 1)
    assert receive(wizard, True, "first", 2)["answered"] == {"first": 2, "second": 1}


def test_a_change_that_is_refused_is_answered_as_well(wizard: Wizard) -> None:
    view = receive(wizard, "refused")
    assert view["answered"] == {"first": 1} and "refused" in view["status"]


def test_only_the_newest_senders_are_kept(wizard: Wizard) -> None:
    for number in range(20):
        view = receive(wizard, True, f"view {number}")
    assert list(view["answered"]) == [f"view {number}" for number in range(12, 20)]


def test_a_change_without_a_number_counts_but_is_not_answered(wizard: Wizard) -> None:
    view = receive(wizard, True, None, "1")
    assert view["answered"] == {} and view["fields"][0]["value"] is True


def test_each_attempt_to_leave_takes_the_person_to_the_error_again(wizard: Wizard) -> None:
    focus = []
    for _ in range(2):
        wizard.press("next")
        assert wizard.settled()
        focus.append(wizard.view["focus"])
    assert [item["key"] for item in focus] == ["key", "key"]
    assert focus[0] != focus[1]
