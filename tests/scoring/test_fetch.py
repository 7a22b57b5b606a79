"""The download of models from a container registry: a small registry of the tests answers, and breaks off."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mljupyter.registry.artifacts import manifest
from mljupyter.registry.artifacts.manifest import ManifestEntry
from mljupyter.scoring.fetch.__main__ import main
from mljupyter.scoring.fetch.contract import DIRECTORY_TYPE, DONE, FAILED, INTERRUPTED, NODE_VARIABLE
from mljupyter.scoring.fetch.download import Download
from mljupyter.scoring.fetch.models import Wanted
from mljupyter.scoring.fetch.registry import Registry, login_of
from tests.waiting import HANG_SECONDS, wait_until

LARGE = bytes(range(256)) * 12_000  # three chunks


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class RegistryOfTests(http.server.ThreadingHTTPServer):
    """A registry with one repository. Its attributes say how it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, dict[str, Any]] = {}
        self.requests: Counter[str] = Counter()
        self.ranges: list[str | None] = []
        self.authorizations: list[tuple[str, str | None]] = []
        self.login: str | None = None
        self.bearer = False
        self.breaks_after: list[int] = []
        self.stalls_after = 0
        self.go_on = threading.Event()
        self.ranges_are_known = True
        self.redirect: str | None = None
        self.failures = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def add_file(self, content: bytes) -> str:
        """Add a model of one file, and return its digest."""
        digest = digest_of(content)
        self.blobs[digest] = content
        layer = {"digest": digest, "size": len(content)}
        self.manifests[digest.removeprefix("sha256:")] = {"config": {"mediaType": "x/y"}, "layers": [layer]}
        return digest

    def add_directory(self, files: dict[str, bytes], executable: tuple[str, ...] = ()) -> str:
        """Add a model of several files, and return its digest. A path that ends with "/" is an empty directory."""
        entries = [
            ManifestEntry(
                path.rstrip("/"),
                None if path.endswith("/") else digest_of(content),
                len(content),
                path in executable,
            )
            for path, content in files.items()
        ]
        listed = manifest.encode(entries)
        self.blobs |= {digest_of(content): content for content in (*files.values(), listed)}
        layers = [{"digest": digest_of(content), "size": len(content)} for content in files.values()]
        self.manifests[digest_of(listed).removeprefix("sha256:")] = {
            "config": {"mediaType": DIRECTORY_TYPE},
            "layers": layers,
        }
        return digest_of(listed)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: RegistryOfTests
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        registry, path = self.server, self.path
        registry.requests[path.rpartition("/")[2][:12]] += 1
        registry.authorizations.append((path, self.headers["Authorization"]))
        if path.startswith("/token"):
            right = self.headers["Authorization"] == registry.login
            self._answer(200 if right else 401, json.dumps({"token": "a-token"}).encode())
        elif registry.login is not None and not path.startswith("/elsewhere") and not self._is_authorized():
            scheme = (
                f'Bearer realm="http://{registry.host}/token",service="s"' if registry.bearer else 'Basic realm="r"'
            )
            self._answer(401, b"", {"WWW-Authenticate": scheme})
        elif registry.failures:
            registry.failures -= 1
            self._answer(503, b"later")
        elif "/manifests/" in path:
            found = registry.manifests.get(path.rpartition("/")[2])
            self._answer(404 if found is None else 200, json.dumps(found).encode())
        elif registry.redirect is not None and not path.startswith("/elsewhere"):
            self._answer(307, b"", {"Location": registry.redirect + path.rpartition("/")[2]})
        else:
            self._blob(registry.blobs.get(path.rpartition("/")[2]))

    def _is_authorized(self) -> bool:
        wanted = "Bearer a-token" if self.server.bearer else self.server.login
        return self.headers["Authorization"] == wanted

    def _blob(self, content: bytes | None) -> None:
        registry = self.server
        if content is None:
            self._answer(404, b"")
            return
        asked = self.headers["Range"]
        registry.ranges.append(asked)
        start = 0
        if asked is not None and registry.ranges_are_known:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
        rest = content[start:]
        if registry.stalls_after:
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: registry.stalls_after])
            registry.go_on.wait(HANG_SECONDS)
            self.wfile.write(rest[registry.stalls_after :])
            return
        if registry.breaks_after:
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: registry.breaks_after.pop(0)])
            self.close_connection = True
            return
        self._answer(206 if start else 200, rest)

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[RegistryOfTests]:
    with RegistryOfTests() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mljupyter.scoring.fetch.download._PAUSES", (0.0, 0.0, 0.0))


class Fetched(NamedTuple):
    status: int
    said: str
    directory: Path


@pytest.fixture
def fetch(registry: RegistryOfTests, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Fetch models by the command: names of models with their digests."""

    def run(login: dict[str, Any] | None = None, host: str = "", **models: str) -> Fetched:
        document = {
            "registry": host or registry.host,
            "repository": "mljupyter/models",
            "models": [
                {"name": name, "version": 3, "digest": digest, "entry": "model.bin"} for name, digest in models.items()
            ],
        }
        listed, auths = tmp_path / "models.json", tmp_path / "login.json"
        listed.write_text(json.dumps(document))
        if login is not None:
            auths.write_text(json.dumps({"auths": login}))
        directory = tmp_path / "models"
        status = main(["--models", str(listed), "--login", str(auths), "--directory", str(directory)])
        return Fetched(status, capsys.readouterr().out, directory)

    return run


def test_a_model_is_where_scripts_look_for_it_and_cannot_be_changed(registry: RegistryOfTests, fetch: Any) -> None:
    one = registry.add_file(LARGE)
    tree = registry.add_directory(
        {"a.txt": b"a", "bin/run": b"#!", "empty/": b"", "none": b""}, executable=("bin/run",)
    )
    found = fetch(churn=one, tree=tree)
    assert found.status == DONE
    path = found.directory / "churn/3/model.bin"
    assert path.read_bytes() == LARGE
    assert path.stat().st_mode & 0o777 == 0o444
    root = found.directory / "tree/3/model.bin"
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        "a.txt",
        "bin",
        "bin/run",
        "empty",
        "none",
    ]
    assert (root / "bin/run").stat().st_mode & 0o777 == 0o555
    assert sorted(path.name for path in found.directory.iterdir()) == ["churn", "tree"]


def test_an_interrupted_download_goes_on_where_it_ended(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_file(LARGE)
    registry.breaks_after = [1_500_000, 700_000]
    assert fetch(churn=digest).status == DONE
    assert registry.ranges[0] is None
    starts = [int(str(asked).removeprefix("bytes=").rstrip("-")) for asked in registry.ranges[1:]]
    assert 0 < starts[0] < starts[1] <= 2_200_000


def test_the_next_run_goes_on_too_and_fetches_nothing_again(registry: RegistryOfTests, fetch: Any) -> None:
    first, second = registry.add_file(b"first"), registry.add_file(LARGE)
    registry.breaks_after = [5, 1_100_000, 0, 0, 0, 0, 0]
    found = fetch(one=first, two=second)
    assert found.status == INTERRUPTED
    assert "ends a download before its end" in found.said or "does not answer" in found.said
    before = len(registry.ranges)
    registry.breaks_after = []
    assert fetch(one=first, two=second).status == DONE
    (asked,) = registry.ranges[before:]
    assert int(str(asked).removeprefix("bytes=").rstrip("-")) >= 1_000_000


def test_a_registry_without_ranges_sends_all_again(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_file(LARGE)
    registry.breaks_after = [1_500_000]
    registry.ranges_are_known = False
    found = fetch(churn=digest)
    assert found.status == DONE
    assert (found.directory / "churn/3/model.bin").read_bytes() == LARGE


def test_a_damaged_file_never_gets_its_name(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_file(LARGE)
    registry.blobs[digest] = LARGE[:-1] + b"x"
    found = fetch(churn=digest)
    assert found.status == FAILED
    assert "a file of model churn:3 differs from its digest" in found.said
    assert "deploy again, which uploads it" in found.said
    assert not (found.directory / "churn/3/model.bin").exists()


def test_a_manifest_cannot_put_other_content_in_the_place_of_a_model(registry: RegistryOfTests, fetch: Any) -> None:
    wanted, other = digest_of(b"wanted"), registry.add_file(b"other")
    registry.manifests[wanted.removeprefix("sha256:")] = registry.manifests[other.removeprefix("sha256:")]
    found = fetch(churn=wanted)
    assert found.status == FAILED
    assert f"model churn:3 differs from its digest {wanted[:19]}" in found.said


def test_a_path_that_leads_out_of_its_directory_is_refused(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_directory({"../../out": b"x"})
    found = fetch(churn=digest)
    assert found.status == FAILED
    assert "leads out of the directory" in found.said


def test_a_missing_model_is_told_with_the_way_out(registry: RegistryOfTests, fetch: Any) -> None:
    found = fetch(churn=digest_of(b"nowhere"))
    assert found.status == FAILED
    assert f"model churn:3 is not in the registry {registry.host}" in found.said
    assert "Deploy again from the workspace that has the model" in found.said


def test_a_full_disk_is_told_before_anything_is_fetched(
    registry: RegistryOfTests, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = registry.add_file(LARGE)
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    found = fetch(churn=digest)
    assert found.status == FAILED
    assert "the disk of the node is full: the models take 3.1 MB, and 1 MB are free" in found.said
    assert not registry.ranges


@pytest.mark.parametrize("bearer", [False, True])
def test_the_login_of_the_registry_is_used(registry: RegistryOfTests, fetch: Any, bearer: bool) -> None:
    digest = registry.add_file(b"secret model")
    pair = base64.b64encode(b"edge:pass").decode()
    registry.login, registry.bearer = f"Basic {pair}", bearer
    refused = fetch(churn=digest)
    assert refused.status == FAILED
    assert "refuses model churn:3 to a client without a login (HTTP 401)" in refused.said
    assert "model_delivery='bake'" in refused.said
    wrong = fetch({registry.host: {"username": "edge", "password": "wrong-one"}}, churn=digest)
    assert wrong.status == FAILED
    assert "to user 'edge'" in wrong.said
    assert "wrong-one" not in wrong.said
    assert fetch({registry.host: {"auth": pair}}, churn=digest).status == DONE


def test_credentials_stay_at_the_registry(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_file(LARGE)
    registry.login = f"Basic {base64.b64encode(b'edge:pass').decode()}"
    port = registry.server_address[1]
    registry.redirect = f"http://127.0.0.2:{port}/elsewhere/"
    with RegistryOfTests() as storage:
        storage.blobs = registry.blobs
        thread = threading.Thread(target=storage.serve_forever)
        thread.start()
        registry.redirect = f"http://{storage.host}/elsewhere/"
        found = fetch({registry.host: {"username": "edge", "password": "pass"}}, churn=digest)
        storage.shutdown()
        thread.join()
    assert found.status == DONE
    assert storage.authorizations == [(f"/elsewhere/{digest}", None)]


def test_a_redirect_to_the_metadata_of_a_cloud_is_refused(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_file(LARGE)
    registry.redirect = "http://169.254.169.254/"
    found = fetch(churn=digest)
    assert found.status == FAILED
    assert "169.254.169.254, which is not followed" in found.said


def test_a_registry_that_does_not_answer_for_a_while_is_asked_again(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_file(LARGE)
    registry.failures = 2
    found = fetch(churn=digest)
    assert found.status == DONE
    assert "answers HTTP 503. Trying again" in found.said


def test_a_registry_on_a_loopback_address_is_that_of_the_node(
    registry: RegistryOfTests, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = registry.add_file(b"x")
    monkeypatch.setenv(NODE_VARIABLE, "127.0.0.1")
    assert fetch(host=f"localhost:{registry.server_address[1]}", churn=digest).status == DONE


def test_equal_models_are_fetched_once(registry: RegistryOfTests, fetch: Any) -> None:
    digest = registry.add_file(LARGE)
    found = fetch(**{f"m{number}": digest for number in range(20)})
    assert found.status == DONE
    assert len(registry.ranges) == 1
    assert all((found.directory / f"m{number}/3/model.bin").read_bytes() == LARGE for number in range(20))


def test_the_progress_names_the_model_and_the_bytes_also_while_the_registry_stalls(
    registry: RegistryOfTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mljupyter.scoring.fetch.download._SAID_EVERY", 0.01)
    said: list[str] = []
    digest = registry.add_file(LARGE)
    registry.stalls_after = 2_500_000
    download = Download(Registry(registry.host, "r"), tmp_path / "models", said.append)
    with ThreadPoolExecutor() as pool:
        try:
            fetched = pool.submit(download.fetch, [Wanted("churn", 3, digest, "m")])
            wait_until(
                lambda: any(re.fullmatch(r"fetching model churn:3, [12](\.\d)? of 3\.1 MB", line) for line in said),
                "a part of the file",
            )
        finally:
            registry.go_on.set()
        fetched.result(HANG_SECONDS)
    assert said[-1] == "fetching model churn:3, 3.1 of 3.1 MB"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": base64.b64encode(b"a:b:c").decode()}, ("a", "b:c")),
        ({"username": "a", "password": "b"}, ("a", "b")),
        ({"identitytoken": "t"}, ("<token>", "t")),
        ({"auth": "no base64"}, None),
        ("text", None),
    ],
)
def test_a_login_is_read_as_docker_stores_it(entry: Any, expected: tuple[str, str] | None) -> None:
    content = json.dumps({"auths": {"https://registry.example/v1/": entry}}).encode()
    assert login_of(content, "registry.example") == expected
    assert login_of(content, "other.example") is None
