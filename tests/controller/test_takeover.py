"""What a client does about a controller of another release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.controller import launch, stopping, takeover
from mljupyter.controller.layout import Layout

OLD, PRESENT, NEWER = {"pid": 7, "release": "0.0.9"}, {"interface": takeover.INTERFACE}, {"interface": 99}


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A workspace whose controller is stopped and started on paper."""
    layout = Layout.of(tmp_path)
    layout.prepare()
    done: list[str] = []
    monkeypatch.setattr(stopping, "stop", lambda _layout, force: done.append(f"stopped, force={force}"))
    monkeypatch.setattr(launch, "start", lambda _layout: done.append("started"))
    monkeypatch.setattr(takeover, "done", done, raising=False)
    return layout


def _answers(*statuses: dict[str, Any] | None) -> Iterator[dict[str, Any] | None]:
    return iter(statuses)


@pytest.mark.parametrize(
    ("statuses", "done"),
    [
        ((None,), []),
        ((PRESENT,), []),
        ((OLD, OLD), ["stopped, force=False", "started"]),
        ((OLD, PRESENT), ["started"]),  # another client was faster; a start finds the controller that runs
    ],
)
def test_a_controller_of_an_older_release_is_replaced_once(
    layout: Layout, statuses: tuple[dict[str, Any] | None, ...], done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    answers = _answers(*statuses)
    takeover.check(layout, lambda: next(answers))
    assert takeover.done == done  # type: ignore[attr-defined]
    said = "(pid 7) is of an older release, 0.0.9 (interface 1). It is replaced; endpoints keep serving."
    assert (said in capsys.readouterr().err) == (len(done) == 2)


def test_a_controller_of_a_newer_release_is_left_alone_and_the_way_out_is_said(layout: Layout) -> None:
    with pytest.raises(ControllerError, match=r"(?s)newer release.*restart its kernel.*pip install --upgrade"):
        takeover.check(layout, lambda: NEWER)
    assert takeover.done == []  # type: ignore[attr-defined]
