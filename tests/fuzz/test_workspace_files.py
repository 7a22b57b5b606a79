"""Any damage to the files of a workspace: it is read or refused with a reason, and no file of the user is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from mljupyter.core import Environment, Model, Workspace
from mljupyter.core.profile import ModelProfile
from mljupyter.errors import MLJupyterError
from mljupyter.registry import Registry
from tests.fuzz.budget import Budget

NAME = "churn-team"
# The database is written to by reading; lock files come and go.
_CHANGING = ("workspace.db", "-wal", "-shm", ".lock")
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
contents = st.one_of(
    st.sampled_from(
        [b"", b"{}", b"[]", b"null", b"[" * 200_000, b'{"a":' * 100_000, b"\xef\xbb\xbf{}", b"\x00" * 4096]
    ),
    st.binary(max_size=60),
    documents.map(lambda value: json.dumps(value).encode()),
)
spots = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
)
Damage = Callable[[Path], None]


def overwritten(spots: list[tuple[float, bytes]]) -> Damage:
    """Write bytes into a file at some places."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        for part, written in spots:
            place = int(part * len(content))
            content[place : place + len(written)] = written
        replace(path, bytes(content))

    return damage


def cut(part: float) -> Damage:
    """Cut a file off."""
    return lambda path: replace(path, path.read_bytes()[: int(part * path.stat().st_size)])


def member(key: str | None, value: object) -> Damage:
    """Put something else into a JSON object, or take it out."""

    def damage(path: Path) -> None:
        try:
            document = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return
        inside = document[0] if isinstance(document, list) and document else document
        if isinstance(inside, dict) and inside:
            inside[key if key is not None else sorted(inside)[0]] = value
        replace(path, json.dumps(document).encode())

    return damage


def replace(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def replaced(content: bytes) -> Damage:
    return lambda path: replace(path, content)


keys = st.sampled_from(
    [
        *("name", "id", "created_time", "createdTime", "tags", "workspace_name", "path", "Scope", "subscription_id"),
        *("digest", "size", "executable", "containerRegistry", "state", "status", "details", None),
    ]
)
damages = st.one_of(
    spots.map(overwritten),
    st.floats(0, 1, exclude_max=True).map(cut),
    st.builds(member, keys, documents | st.sampled_from(["../../x", "/", "\x00", "9" * 400, {"a": "b"}, 10**400])),
    contents.map(replaced),
)


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a workspace that has models, an environment and a profile, and a project that uses it."""
    root = tmp_path / "original"
    (root / "project").mkdir(parents=True)
    monkeypatch.setenv("MLJUPYTER_HOME", str(root / "home"))
    workspace = Workspace.create(NAME)
    workspace.write_config(path=str(root / "project"))
    (root / "project" / "model.pkl").write_bytes(b"weights")
    (root / "project" / "other.pkl").write_bytes(b"others")
    (root / "project" / "net" / "deep").mkdir(parents=True)
    (root / "project" / "net" / "deep" / "layer").write_bytes(b"layer")
    (root / "project" / "net" / "index").write_bytes(b"index")
    for name, path in (("file", "model.pkl"), ("folder", "net")):
        Model.register(workspace, str(root / "project" / path), name, tags={"area": "test"})
    Environment("packages").register(workspace)
    profiles = workspace.directory / "profiles"
    profiles.mkdir(mode=0o700)
    (profiles / "load.json").write_text(json.dumps({"name": "load", "state": "Succeeded", "pid": 1, "details": {}}))
    return root


def files_of(root: Path) -> dict[str, bytes]:
    """Return the files that belong to the user, with their content."""
    found = (path for path in root.rglob("*") if path.is_file() and not any(part in path.name for part in _CHANGING))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def uses(root: Path) -> list[tuple[str, Callable[[], object]]]:
    """Return what a user does with a workspace, by name."""

    def workspace() -> Workspace:
        return Workspace.get(NAME)

    def fetch(name: str) -> None:
        Model(workspace(), name).download(str(root / "fetched" / name), exist_ok=True)

    def collect() -> None:
        with Registry.open(root / "home" / "workspaces" / NAME) as registry:
            registry.sweep(dry_run=True)

    return [
        ("list", lambda: repr(Workspace.list())),
        ("config", lambda: repr(Workspace.from_config(path=str(root / "project")))),
        ("models", lambda: [repr(model) for model in workspace().models.values()]),
        ("file", lambda: fetch("file")),
        ("folder", lambda: fetch("folder")),
        ("environments", lambda: [repr(item) for item in workspace().environments.values()]),
        ("environment", lambda: Environment.get(workspace(), "packages")),
        ("images", lambda: [repr(image) for image in workspace().images.values()]),
        ("profile", lambda: repr(ModelProfile(workspace(), "load"))),
        ("garbage", collect),
        ("register", lambda: Model.register(workspace(), str(root / "project" / "other.pkl"), "another")),
    ]


def test_damaged_files_are_read_or_refused_with_a_reason_and_nothing_is_removed(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: Budget
) -> None:
    damaged = sorted(
        str(path.relative_to(original))
        for path in (original / "home").rglob("*")
        if path.is_file() and not path.name.endswith((".lock", "-wal", "-shm"))
    )
    damaged.append("project/.azureml/config.json")
    assert sum("directories" in name for name in damaged) == 1
    root = tmp_path / "copy"
    monkeypatch.setenv("MLJUPYTER_HOME", str(root / "home"))
    monkeypatch.chdir(tmp_path)

    @given(st.lists(st.tuples(st.sampled_from(damaged), damages), min_size=1, max_size=2))
    @budget.example
    def use(sent: list[tuple[str, Damage]]) -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(original, root)
        for name, damage in sent:
            damage(root / name)
        before = files_of(root)
        refused = 0
        for name, doing in uses(root):
            try:
                doing()
            except MLJupyterError as error:
                refused += 1
                assert error.message, name
                assert "Traceback" not in error.message
                assert error.message.count("\n") < 8, error.message
        target(float(refused))
        after = files_of(root)
        assert {name: after.get(name) for name in before} == before, "files of the user were removed or changed"

    budget.search(use)
