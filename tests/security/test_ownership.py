"""Which directories others could put something else in the place of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mljupyter import ownership
from tests.security.users import ATTACKER, commons, needs_root

__all__ = ["commons"]
pytestmark = needs_root


def test_a_link_of_another_user_on_the_way_is_a_weak_spot_wherever_it_leads(commons: Path) -> None:
    (commons / "mine").mkdir()
    (link := commons / "link").symlink_to(commons / "mine")
    assert ownership.weak_spot(link) is None
    os.chown(link, ATTACKER, ATTACKER, follow_symlinks=False)
    assert ownership.weak_spot(link) == f"{str(link)!r} belongs to user {ATTACKER}"


def test_a_directory_of_another_user_on_the_way_is_a_weak_spot(commons: Path) -> None:
    (mine := commons / "theirs" / "mine").mkdir(parents=True)
    os.chown(commons / "theirs", ATTACKER, ATTACKER)
    assert ownership.weak_spot(mine) == f"{str(commons / 'theirs')!r} belongs to user {ATTACKER}"


def test_root_may_have_another_number_where_a_namespace_has_no_root(
    commons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = 65534
    os.chown(commons, nobody, nobody)
    assert "belongs to" in str(ownership.weak_spot(commons))
    monkeypatch.setattr(ownership, "_unmapped_root", lambda: nobody)
    assert ownership.weak_spot(commons) is None
