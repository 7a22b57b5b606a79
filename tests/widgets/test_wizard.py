"""The numbers with which a view knows whether Python has seen what the person did."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mljupyter.widgets import fields
from mljupyter.widgets.wizard import Page, Wizard
from tests.waiting import HANG_SECONDS, wait_until


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
    assert wizard.settled(HANG_SECONDS)
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


class Unreadable(Asked):
    """A page that cannot be shown for a while: the files that it reads are gone."""

    gone = False

    def fields(self) -> list[fields.Field]:
        if self.gone:
            raise FileNotFoundError("registry.db")
        return super().fields()


@pytest.fixture
def unreadable() -> Iterator[tuple[Wizard, Unreadable]]:
    page = Unreadable()
    found = Wizard("Ask", [page, Page()])
    yield found, page
    found.close()


def test_a_page_that_cannot_be_shown_leaves_the_last_view_with_the_reason_and_goes_on_later(
    unreadable: tuple[Wizard, Unreadable],
) -> None:
    wizard, page = unreadable
    page.gone = True
    view = receive(wizard, True)
    assert view["status"] == "FileNotFoundError: registry.db"
    assert view["answered"] == {"first": 1} and len(view["fields"]) == 1
    page.gone = False
    view = receive(wizard, True, number=2)
    assert view["status"] == "" and view["fields"][0]["value"] is True


def test_the_reason_of_a_failed_refresh_goes_with_the_next_one_that_succeeds(
    unreadable: tuple[Wizard, Unreadable],
) -> None:
    wizard, page = unreadable
    view = receive(wizard, "refused")
    page.gone = True
    wizard.refresh()
    wait_until(lambda: "registry.db" in wizard.view["status"], "the reason")
    assert wizard.view["status"].splitlines() == ["ValueError: refused", "FileNotFoundError: registry.db"]
    page.gone = False
    wizard.refresh()
    wait_until(lambda: "registry.db" not in wizard.view["status"], "the page is shown again")
    assert wizard.view == view, "with the reason of what somebody did"


def test_a_closed_wizard_looks_at_nothing_any_more(unreadable: tuple[Wizard, Unreadable]) -> None:
    wizard, page = unreadable
    begun, released = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert released.wait(HANG_SECONDS)
        page.gone = True  # as a folder is that is deleted behind the wizard
        raise ValueError("too late")

    wizard._worker.put(hold)
    assert begun.wait(HANG_SECONDS)
    wizard.close()
    before = dict(wizard.view)
    released.set()
    wait_until(lambda: "mljupyter Ask" not in {thread.name for thread in threading.enumerate()}, "its thread has ended")
    assert wizard.view == before


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
        assert wizard.settled(HANG_SECONDS)
        focus.append(wizard.view["focus"])
    assert [item["key"] for item in focus] == ["key", "key"]
    assert focus[0] != focus[1]


class Described(Page):
    """A page with three fields, whose errors come in another order."""

    name = heading = "Described"

    def __init__(self) -> None:
        self.values = {"first": "", "second": "ok", "third": ""}

    def fields(self) -> list[fields.Field]:
        return [fields.text(key, key, value) for key, value in self.values.items()]

    def change(self, key: str, value: Any) -> None:
        self.values[key] = value

    def errors(self) -> dict[str, str]:
        return {key: "Fill it in." for key in ("third", "second", "first") if not self.values[key]}


class Acting(Page):
    """A page that starts something when it is opened."""

    name = heading = "Act"
    starts = True


@pytest.fixture
def described() -> Iterator[Wizard]:
    found = Wizard("Describe", [Described(), Asked(), Acting()])
    yield found
    found.close()


def pressed(wizard: Wizard, button: str) -> dict[str, Any]:
    wizard.press(button)
    assert wizard.settled(HANG_SECONDS)
    return dict(wizard.view)


def test_all_wrong_fields_are_reported_and_the_first_on_the_page_gets_the_focus_once(described: Wizard) -> None:
    view = pressed(described, "next")
    assert [field["error"] for field in view["fields"]] == ["Fill it in.", "", "Fill it in."]
    assert view["focus"]["key"] == "first"
    described.change("third", "x")
    assert described.settled(HANG_SECONDS)
    assert described.view["focus"] is None  # until the next press
    assert [field["error"] for field in described.view["fields"]] == ["Fill it in.", "", ""]


def test_an_error_of_no_field_is_shown_as_well(described: Wizard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Described, "errors", lambda self: {"hidden": "It needs a script."})
    assert "It needs a script." in pressed(described, "next")["status"]


def test_a_step_is_opened_as_far_as_the_pages_before_it_are_complete(described: Wizard) -> None:
    assert pressed(described, "step 1")["heading"] == "Described"
    for key in ("first", "third"):
        described.change(key, "x")
    assert pressed(described, "step 1")["heading"] == "Asked"
    view = pressed(described, "step 2")
    assert view["heading"] == "Asked" and "begins with 'Next'" in view["status"]
    assert "begins with" in view["steps"][2]["reason"] and view["steps"][0]["reason"] == ""
    assert pressed(described, "step 0")["heading"] == "Described"
    assert pressed(described, "step 9")["heading"] == "Described"


def test_a_view_learns_when_its_press_has_been_worked_on(wizard: Wizard) -> None:
    content = {"kind": "press", "button": "next", "view": "first", "number": 7}
    wizard._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    assert wizard.settled(HANG_SECONDS)
    assert wizard.view["answered"] == {"first": 7}


def test_a_step_behind_a_running_check_is_opened_when_the_check_has_ended(
    described: Wizard, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = ["It is being checked."]
    monkeypatch.setattr(Described, "errors", lambda self: {})
    monkeypatch.setattr(Described, "blocked", lambda self: "".join(reasons))
    view = pressed(described, "step 1")
    assert (view["heading"], view["status"]) == ("Described", "It is being checked.")
    reasons.clear()
    described.page.refresh()
    wait_until(lambda: described.view["heading"] == "Asked", "the step")


class Named(Described):
    """A page with the fields of another one, which may be the one that starts something."""

    def __init__(self, name: str, starts: bool = False) -> None:
        super().__init__()
        self.name, self.starts, self.entered = name, starts, 0

    def enter(self) -> None:
        self.entered += 1


FULL = [["first", "a"], ["third", "b"], ["first", "c"]]


@pytest.fixture
def form() -> Iterator[Wizard]:
    found = Wizard("Ask", [Named("One"), Named("Two"), Named("Three"), Named("Run", starts=True)])
    yield found
    found.close()


def bring_back(wizard: Wizard, pages: Any, step: Any) -> str:
    """Tell a form what was typed into an earlier one; return the step that it shows then."""
    content = {"kind": "typed", "pages": pages, "step": step}
    wizard._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    assert wizard.settled(HANG_SECONDS)
    return next(str(item["name"]) for item in wizard.view["steps"] if item["state"] == "current")


def test_a_form_that_was_opened_anew_gets_what_was_typed_and_shows_the_same_step(form: Wizard) -> None:
    assert bring_back(form, {"One": FULL, "Two": [["third", "typed"]]}, "Two") == "Two"
    assert [page.values for page in form._pages[:2]] == [  # type: ignore[attr-defined]
        {"first": "c", "second": "ok", "third": "b"},
        {"first": "", "second": "ok", "third": "typed"},
    ]
    assert "what was typed before" in form.view["status"]


def test_a_page_that_is_not_complete_stops_the_way_there_and_what_is_on_later_ones_is_not_lost(form: Wizard) -> None:
    assert bring_back(form, {"One": [["first", "a"]], "Two": FULL}, "Three") == "One"
    assert form.view["focus"]["key"] == "third"
    form.change("third", "b")
    form.press("next")
    form.press("next")
    assert form.settled(HANG_SECONDS)
    assert form.page.name == "Three"


def test_a_step_that_starts_something_is_not_opened_again(form: Wizard) -> None:
    assert bring_back(form, {"One": FULL, "Two": FULL, "Three": FULL}, "Run") == "Three"
    assert form._pages[-1].entered == 0  # type: ignore[attr-defined]
    assert "nothing has been started again" in form.view["status"]


@pytest.mark.parametrize("pages", [None, [], {"One": 3}, {"One": [1, ["first"], ["first", "a", "b"]]}, {"Other": FULL}])
@pytest.mark.parametrize("step", [None, [], "Nowhere", "Three"])
def test_malformed_input_of_an_earlier_form_changes_nothing(form: Wizard, pages: Any, step: Any) -> None:
    assert bring_back(form, pages, step) == "One"
    assert form.page.values == Described().values  # type: ignore[attr-defined]
