"""The comparison with azureml-inference-server-http: the same scripts, the same requests."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from uv import find_uv_bin

from tests.compatibility.scoring_requests import HEADERS, NAMES, REQUESTS, SAID, SERVERS, STARTS, Request
from tests.ports import free_port
from tests.waiting import HANG_SECONDS, wait_until

HERE = Path(__file__).parent
VERSION = "1.5.1"
DIFFERENCES = HERE.parents[1] / "docs/scoring-scripts.md"
_LISTED = re.compile(r"^\|.* <!-- (.+) --> \|$", re.MULTILINE)
"""The end of a row in the table of differences: the names of the differences, with the wildcards of a shell."""
_LARGE = 10_000

Answers = dict[str, dict[str, Any]]


class Served(NamedTuple):
    """A server that has started: a client for it, and what returns its log."""

    client: httpx.Client
    log: Callable[[], str]


def ask(client: httpx.Client, request: Request) -> dict[str, Any]:
    """Send a request and return the answer in a form that can be compared: status, headers, body."""
    body: Any = iter([request.body]) if request.chunked else request.body
    headers = {name: value.encode("latin-1") for name, value in request.headers.items()}
    try:
        with client.stream(request.method, request.path, content=body, headers=headers) as answer:
            content = answer.read()
    except httpx.TransportError as error:
        return {"broken": type(error).__name__}
    found = {name: ", ".join(answer.headers.get_list(name)) for name in HEADERS if name in answer.headers}
    for name, value in found.items():
        if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
            found[name] = "generated"
        elif name.endswith("-ms"):
            found[name] = "a number" if re.fullmatch(r"[\d.]+", value) else "several numbers"
        elif name == "allow" or name.startswith("access-control-allow-"):
            found[name] = ", ".join(sorted(one.strip() for one in value.split(",")))
    chunked = {"length": "chunked" if "transfer-encoding" in answer.headers else "known"}
    if answer.status_code in (204, 304) or request.method == "HEAD":
        chunked = {}
    return {
        "status": answer.status_code,
        "body": content.decode() if request.exact else _body(content, answer.status_code),
        **chunked,
        **found,
    }


def _body(content: bytes, status: int) -> Any:
    if len(content) > _LARGE:
        return {"length": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    try:
        found = json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")
    if status >= 400 and isinstance(found, dict) and isinstance(found.get("message"), str):
        return dict.fromkeys(found, "a text")
    if isinstance(found, dict) and "paths" in found:
        return dict(_leaves(_without_wording(found)))
    return found


def _without_wording(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_wording(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: "a text" if name == "description" else _without_wording(one) for name, one in value.items()}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the members of a document by their paths."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for name, member in value.items():
        yield from _leaves(member, f"{path}.{name}" if path else name)


def differences(theirs: Answers, ours: Answers) -> dict[str, tuple[Any, Any]]:
    """Return what differs: the request's name and the part of the answer, with both values; None for absent."""
    found = {}
    for name, answer in theirs.items():
        mine = ours[name]
        for part in {**answer, **mine}:
            pair = answer.get(part), mine.get(part)
            if all(isinstance(one, dict) for one in pair):
                for leaf in {**pair[0], **pair[1]}:
                    both = pair[0].get(leaf), pair[1].get(leaf)
                    if both[0] != both[1]:
                        found[f"{name}: {part} {leaf}"] = both
            elif pair[0] != pair[1]:
                found[f"{name}: {part}{' missing' if pair[1] is None else ''}"] = pair
    return found


def unexplained(found: dict[str, tuple[Any, Any]]) -> tuple[dict[str, tuple[Any, Any]], list[str]]:
    """Return the differences without a reason, and the patterns of reasons without a difference."""
    patterns = [one.strip() for listed in _LISTED.findall(DIFFERENCES.read_text()) for one in listed.split(";")]
    assert patterns, f"{DIFFERENCES} has no differences"
    without = {name: pair for name, pair in found.items() if not any(fnmatchcase(name, one) for one in patterns)}
    return without, [one for one in patterns if not any(fnmatchcase(name, one) for name in found)]


def answers(servers: Mapping[str, Served]) -> Answers:
    """Return the answers to all requests; each server gets its own in their order, all servers at the same time."""
    with ThreadPoolExecutor(len(servers)) as pool:
        return {name: one for found in pool.map(answers_of, servers, servers.values()) for name, one in found.items()}


def answers_of(name: str, served: Served) -> Answers:
    """Return the answers of one server to its requests."""
    found = {one.name: ask(served.client, one) for one in REQUESTS if one.server == name}
    if name == "plain":
        log = served.log()
        found["log"] = {text: text in log for text in SAID}
    return found


def script_starts(python: str, kind: str) -> Answers:
    """Return which scripts of `STARTS` and `NAMES` start, by one of the servers."""
    named = {
        f"script {name}": {
            "entry": entry,
            "files": {**files, entry: f"{first}\ndef init(): pass\ndef run(data): pass\n"},
        }
        for name, (entry, first, files) in NAMES.items()
    }
    cases = named | {
        f"script {name}": {"entry": "score.py", "files": {"score.py": text}} for name, text in STARTS.items()
    }
    ended = subprocess.run(
        [python, str(HERE / "script_starts.py"), kind],
        input=json.dumps(cases).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    found: Answers = json.loads(ended.stdout)
    return found


def install_original(place: Path) -> str:
    """Make an environment with the original; return its interpreter."""
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, place], check=True)
    python = str(place / "bin/python")
    # NumPy, pandas and the rest of what scripts import is there already: of the same versions, and compiled.
    (place / f"lib/python{sysconfig.get_python_version()}/site-packages/shared.pth").write_text(
        f"{sysconfig.get_path('purelib')}\n"
    )
    wanted = [f"{name}=={metadata.version(name)}" for name in ("flask", "inference-schema", "werkzeug")]
    wanted += [f"azureml-inference-server-http=={VERSION}"]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
    return python


@contextmanager
def originals(python: str) -> Iterator[dict[str, Served]]:
    """Serve all scripts with the original, in the environment of an interpreter."""
    with ExitStack() as stack:
        servers = []
        found = {}
        for name, server in SERVERS.items():
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlj")))
            (place / "score.py").write_text(textwrap.dedent(server.script))
            port = free_port()
            servers.append({"directory": str(place), "port": port, "environment": server.environment})
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HANG_SECONDS))
            found[name] = Served(client, (place / "log").read_text)
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlj"))  # gunicorn puts a socket there
        process = subprocess.Popen(
            [python, str(HERE / "original_servers.py")],
            stdin=subprocess.PIPE,
            text=True,
            env={**os.environ, "HOME": home},
        )
        stack.callback(process.wait, HANG_SECONDS)
        assert process.stdin is not None
        stack.callback(process.stdin.close)
        process.stdin.write(json.dumps(servers) + "\n")
        process.stdin.flush()
        for served in found.values():
            wait_until(lambda served=served: _answers(served), "a server of the original")
        yield found


def _answers(served: Served) -> bool:
    try:
        return served.client.get("/").status_code == 200
    except httpx.TransportError:
        return False


def original_answers(python: str) -> Answers:
    """Return all answers of the original."""
    with originals(python) as servers:
        return answers(servers) | script_starts(python, "theirs")
