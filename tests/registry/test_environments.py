from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.registry import Registry
from mljupyter.registry.catalog.environments import EnvironmentNotFoundError, EnvironmentRegistry
from mljupyter.spec import SpecError

from .processes import finish, start_python

REGISTER = """
    import sys
    from pathlib import Path
    from mljupyter.registry import Registry
    with Registry.open(Path(sys.argv[1])) as registry:
        for number in range(5):
            definition = {"by": sys.argv[2], "number": number}
            print(registry.environments.register("serving", definition, "0" * 64).version)
"""
MARK = "ab" * 32


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry.open(tmp_path / "workspace") as registry:
        yield registry


@pytest.fixture
def environments(registry: Registry) -> EnvironmentRegistry:
    return registry.environments


def test_versions_are_numbered_by_name(environments: EnvironmentRegistry) -> None:
    ids = [environments.register(name, {"number": n}, MARK).id for n, name in enumerate(["a", "a", "b", "a"])]
    assert ids == ["a:1", "a:2", "b:1", "a:3"]


def test_what_equals_the_newest_version_keeps_it(environments: EnvironmentRegistry) -> None:
    first = environments.register("serving", {"packages": ["six"]}, MARK)
    assert environments.register("serving", {"packages": ["six"]}, MARK) == first
    second = environments.register("serving", {"packages": ["toolz"]}, MARK)
    back = environments.register("serving", {"packages": ["six"]}, MARK)
    assert (second.version, back.version) == (2, 3)


def test_processes_that_register_at_once_get_versions_of_their_own(tmp_path: Path) -> None:
    Registry.open(tmp_path / "workspace").close()
    processes = [start_python(REGISTER, str(tmp_path / "workspace"), str(number)) for number in range(3)]
    versions = [int(line) for process in processes for line in finish(process).split()]
    assert sorted(versions) == list(range(1, 16))


def test_get_returns_the_newest_a_version_or_that_with_a_label(environments: EnvironmentRegistry) -> None:
    for number in range(3):
        environments.register("serving", {"number": number}, MARK)
    environments.label("serving", 2, ["tested"])
    assert environments.get("serving").version == 3
    assert environments.get("serving", 1).version == 1
    assert environments.get("serving", label="tested").version == 2
    assert environments.get("serving", label="latest").version == 3


def test_a_label_is_on_one_version_at_a_time(environments: EnvironmentRegistry) -> None:
    for number in range(2):
        environments.register("serving", {"number": number}, MARK)
    environments.label("serving", 1, ["tested", "old"])
    environments.label("serving", 2, ["tested"])
    assert (environments.labels("serving", 1), environments.labels("serving", 2)) == (["old"], ["tested"])


def test_latest_is_no_label_to_give(environments: EnvironmentRegistry) -> None:
    environments.register("serving", {}, MARK)
    with pytest.raises(SpecError, match="'latest' cannot be a label"):
        environments.label("serving", 1, ["latest"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("servng", None, None), "Did you mean 'serving'"),
        (("other", None, None), "There are: serving"),
        (("serving", 7, None), r"no version 7. It has: 2, 1"),
        (("serving", None, "new"), "no label 'new'. It has: latest, tested"),
    ],
)
def test_what_is_not_there_says_what_is(
    environments: EnvironmentRegistry, arguments: tuple[str, int | None, str | None], says: str
) -> None:
    for number in range(2):
        environments.register("serving", {"number": number}, MARK)
    environments.label("serving", 1, ["tested"])
    name, version, label = arguments
    with pytest.raises(EnvironmentNotFoundError, match=f"EnvironmentNotFound: .*{says}"):
        environments.get(name, version, label=label)


@pytest.mark.parametrize("name", ["AzureML-sklearn", "microsoft-base", "", "a/b", "-a"])
def test_reserved_and_wrong_names_are_refused(environments: EnvironmentRegistry, name: str) -> None:
    with pytest.raises(SpecError, match=r"curated|Use "):
        environments.register(name, {}, MARK)


def test_environments_are_found_by_fingerprint(environments: EnvironmentRegistry) -> None:
    environments.register("one", {"number": 1}, MARK)
    environments.register("two", {"number": 1}, MARK)
    environments.register("three", {"number": 2}, "cd" * 32)
    assert [record.name for record in environments.with_fingerprint(MARK)] == ["one", "two"]


def test_list_has_the_newest_of_each_name(environments: EnvironmentRegistry) -> None:
    for number, name in enumerate(["b", "a", "b"]):
        environments.register(name, {"number": number}, MARK)
    assert [record.id for record in environments.list()] == ["a:1", "b:2"]


def test_a_password_is_kept_but_not_shown(environments: EnvironmentRegistry) -> None:
    record = environments.register("serving", {}, MARK, password="hunter2")
    assert environments.get("serving").password == "hunter2"
    assert "hunter2" not in repr(record)


def test_build_contexts_are_not_garbage(registry: Registry, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    kept, lost = registry.artifacts.put(context), registry.artifacts.put(Path(sys.executable).resolve())
    definition = {"docker": {"buildContext": {"location": kept.digest}}}
    registry.environments.register("serving", definition, MARK)
    registry.collect_garbage()
    assert registry.artifacts.fetch(kept.digest, tmp_path / "again").is_dir()
    with pytest.raises(Exception, match=lost.digest[:12]):
        registry.artifacts.fetch(lost.digest, tmp_path / "lost")
