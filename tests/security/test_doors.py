"""Attacks on the doors of an installation: what comes in as a number, a document, a text, and what goes out as text."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import os
import pty
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mljupyter.cli import output
from mljupyter.client.errors import InvalidSpecError
from mljupyter.client.transport import Answer
from mljupyter.client.unix_socket import ask
from mljupyter.controller.layout import Layout
from mljupyter.controller.logs.request_log import newest_records
from mljupyter.controller.metrics import port as metrics_port
from mljupyter.controller.metrics import replica_counts
from mljupyter.core import Environment, conda_file
from mljupyter.core.display import HtmlRepr, Rows, pairs
from mljupyter.core.webservice import AksWebservice
from mljupyter.deploy.plan import DeploymentPlan
from mljupyter.durations import seconds_of
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import UserErrorException, WebserviceException
from mljupyter.magics.commands.invoke import body_in_cell
from mljupyter.magics.magic import json_line
from mljupyter.notebook.endpoint_commands import replicas_of, shares_of, steps_of
from mljupyter.notebook.options.cell_body import Document, values_in_cell
from mljupyter.notebook.options.defaults import project_defaults
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import WrongInputError, read
from mljupyter.notebook.plan import Plan
from mljupyter.notebook.scripts import KeptScripts, ScoringScriptNotFoundError
from mljupyter.notebook.views.views import Outcome, Table, Text
from mljupyter.outside import MOST_CHARACTERS
from mljupyter.runtimes.base import LogPart, ReplicaLog
from mljupyter.scoring.configuration import ConfigurationError, parse
from mljupyter.scoring.server.response_headers import IdentifierError, answer_ids
from mljupyter.spec import CodeReference, EndpointSpec, Problem, SpecError, VersionSpec
from mljupyter.spec.difference import masked
from mljupyter.telemetry.export.items import spans_and_logs
from mljupyter.visible import one_line, visible
from mljupyter.widgets.panels.log_panel import LogPanel
from mljupyter.workspace import config_file
from tests.cli.in_process import run, run_json
from tests.ports import free_port
from tests.scoring.replicas import replica_of
from tests.scoring.test_schemas import DECORATED
from tests.system.conftest import Machine, machine, machines  # noqa: F401 - fixtures
from tests.waiting import HANG_SECONDS, promised, wait_until

DEEP = b"[" * 200_000
NUMBERS = ("nan", "inf", "-inf", "1e999", "-1e9", "9" * 5000, "", "x", "0x10", "true")
ENDED_WITHIN = 15.0


def short(value: object) -> str:
    """Return a name for a case of a test: some values are longer than any name, or cannot be written at all."""
    if isinstance(value, int) and abs(value) > 10**18:
        return "a large number"
    return ascii(value)[:30]


def raw(layout: Layout, head: str, body: bytes = b"") -> bytes:
    """Send a request to the controller as it stands, and return all of the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(HANG_SECONDS)
        client.connect(str(layout.socket()))
        client.sendall(
            f"{head} HTTP/1.1\r\nhost: controller\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        )
        with contextlib.suppress(OSError):  # it may be refused before all of it was sent
            client.sendall(body)
        found = b""
        while piece := client.recv(65536):
            found += piece
        return found


@pytest.mark.system
def test_no_number_and_no_document_in_a_request_makes_the_controller_fail_or_keeps_it_from_ending(
    machine: Machine,  # noqa: F811
) -> None:
    machine.healthy(machine.spec("doors"))
    layout = Layout.of(machine.directory)

    def get(target: str) -> Answer:
        return ask(layout.socket(), "GET", target, None, 20)

    base = "/v1/endpoints/doors"
    for target in (
        f"{base}?timeout=",
        f"{base}?after=",
        f"{base}/logs?lines=",
        f"{base}/logs/follow?lines=",
        f"{base}/logs/follow?timeout=",
        f"{base}/records?count=",
        f"{base}/scaling?most=",
        f"{base}/metrics?since=",
        f"{base}/metrics?every=",
        f"{base}/metrics?after=",
    ):
        for number in NUMBERS:
            answer = get(target + quote(number))
            assert answer.status == 400, (target, number[:20], answer)
            document = answer.json()
            assert document["code"] == "InvalidSpec" and "it must be" in document["message"], (target, document)
            assert len(document["message"]) < 300

    for head in (
        "POST /v1/endpoints",
        f"PUT {base}",
        f"POST {base}/keys/primary",
        f"POST {base}/rollout",
        f"POST {base}/promote",
        f"POST {base}/rollback",
        f"POST {base}/token",
        "PUT /v1/router",
        "POST /v1/router/token-keys",
        "PUT /v1/metrics",
    ):
        for body in (DEEP, DEEP[:900], b'{"a":' * 50_000, b"\xff\xfe", b"[]", b"NaN"):
            answer = raw(layout, head, body)
            assert answer.startswith(b"HTTP/1.1 4"), (head, body[:20], answer[:200])
        assert raw(layout, head, b" " * (9 << 20)).startswith(b"HTTP/1.1 413"), head
    for member in ('{"generation": true, "spec": {}}', '{"generation": 1e400, "spec": {}}', '{"generation": NaN}'):
        assert raw(layout, f"PUT {base}", member.encode()).startswith(b"HTTP/1.1 400"), member
    for member in ('{"number": -1}', '{"number": 1.5}', '{"number": 99999999999999999999}'):
        assert raw(layout, f"POST {base}/rollback", member.encode()).startswith(b"HTTP/1.1 400"), member
    for member in ('{"key": ["a"]}', '{"key": {"a": 1}}', '{"key": 12345678}'):
        assert raw(layout, f"POST {base}/keys/primary", member.encode()).startswith(b"HTTP/1.1 400"), member
    for largest in (2**62, 2**62 + 1, "4e18", "-1"):
        for target in (f"{base}?after={largest}", f"{base}/metrics?after={largest}", f"{base}/metrics?since={largest}"):
            assert get(target).status in (200, 400), target
    get("/v1/endpoints/x%0A2026-01-01T00:00:00Z%20I%20forged%1B%5B31m")

    log = layout.log.read_text()
    assert "Traceback" not in log and "failed" not in log
    assert not any(line.startswith("2026-01-01") for line in log.split("\n")) and "\x1b" not in log

    # A client that waits for a change, one that follows the log, and one that went away in the middle of a request.
    held = []
    for target in (f"{base}?timeout=60&after=99999999", f"{base}?timeout=nan&after=99999999", "/v1/endpoints"):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(layout.socket()))
        client.sendall(f"GET {target} HTTP/1.1\r\nhost: controller\r\n".encode())
        held.append(client)
    for client in held[:2]:
        client.sendall(b"\r\n")
    began = time.monotonic()
    assert machine.client.stop()
    wait_until(lambda: not machine.controllers(), "the controller ends")
    assert time.monotonic() - began < promised(ENDED_WITHIN), "it does not wait for its clients"
    for client in held:
        client.close()


LOUD = """
    def init():
        print("\\x1b]0;PWNED\\x07 \\u202egnp.exe \\x9b31m and a\\rb")

    def run(data):
        raise ValueError("\\x1b]0;PWNED\\x07")
    """


def on_a_terminal(*arguments: str) -> str:
    """Return what the command line writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mljupyter.cli", *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        found = b""
        with contextlib.suppress(OSError):  # how the end of a terminal is read
            while piece := os.read(ours, 65536):
                found += piece
        os.close(ours)
        assert child.wait(HANG_SECONDS) == 0, found
    return found.decode()


@pytest.mark.system
def test_what_a_script_prints_commands_no_terminal_and_what_is_secret_is_printed_on_demand_only(
    machine: Machine,  # noqa: F811
) -> None:
    record = machine.healthy(machine.spec("loud", LOUD, environmentVariables={"TOKEN": "hunter2"}))
    uri = record.status.scoring_uri
    assert uri is not None
    assert httpx.post(uri, headers={"x-request-id": "a"}).status_code == 500
    assert httpx.post(uri, headers={"x-request-id": b"\x9b31m"}).status_code == 431
    where = ("--workspace", str(machine.directory))
    document = {"name": "doors", "id": "0", "createdTime": "2026-01-01T00:00:00Z"}
    document |= dict.fromkeys(("subscriptionId", "resourceGroup", "location"), "x")
    (machine.directory / "workspace.json").write_text(json.dumps(document))

    shown = on_a_terminal("endpoint", "logs", "loud", *where)
    assert r"\x1b]0;PWNED\x07 \u202egnp.exe \x9b31m and a\x0db" in shown
    assert not NEVER.search(shown.replace("\r\n", "\n"))
    piped = run("endpoint", "logs", "loud", *where).stdout
    assert "\x1b]0;PWNED\x07" in piped, "a pipe gets the bytes"
    assert not NEVER.search(run("endpoint", "logs", "loud", "--json", *where).stdout)

    for arguments in (("endpoint", "show", "loud", "--json"), ("endpoint", "list", "--json")):
        assert "hunter2" not in run(*arguments, *where).stdout
        assert "hunter2" in run(*arguments, "--show-secrets", *where).stdout
    document = run_json("endpoint", "show", "loud", *where)["spec"]
    assert machine.client.endpoint("loud").generation == record.generation
    with pytest.raises(InvalidSpecError, match=r"TOKEN is '\*\*\*'"):
        machine.client.replace(EndpointSpec.parse(document))


async def test_a_client_of_the_metrics_port_that_does_not_read_does_not_keep_the_controller_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics_port, "exposition", lambda _: "x" * (32 << 20))  # more than all buffers between hold
    number = free_port()
    collector: Any = SimpleNamespace(totals=lambda: None)
    port = metrics_port.MetricsPort(collector)
    await port.open(number)
    with socket.create_connection(("127.0.0.1", number)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")
        client.setblocking(False)
        assert (await asyncio.get_running_loop().sock_recv(client, 12)) == b"HTTP/1.1 200"
        async with asyncio.timeout(HANG_SECONDS):
            await port.close()


def test_bodies_and_headers_of_clients_do_not_end_a_worker() -> None:
    with replica_of(DECORATED) as replica:
        for body in ("[" * 200_000, '{"data":' * 50_000, '{"data": [[' + "9" * 5000 + ']], "frame": []}'):
            answer = replica.score(body, content_type="application/json")
            assert answer.status_code == 400 and "is not JSON" in answer.json()["message"]
        for depth in (60, 900):
            body = '{"data": ' + "[" * depth + "1" + "]" * depth + ', "frame": []}'
            assert replica.score(body, content_type="application/json").status_code == 500  # the schema's own error
        good = '{"data": [[1, 2]], "frame": [{"a": 1, "b": "x"}]}'
        for started in ("nan", "inf", "-inf", "1e400", "-1", "9" * 400, "x"):
            sent = {"x_mlj_start": started, "traceparent": "00-" + "0" * 40000, "content_type": "application/json"}
            assert replica.score(good, **sent).status_code == 200, started
        assert replica.state()["worker_restarts"] == 0


BOMBS = {
    "aliases of aliases": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairwise("abcdefghij")),
    "merged mappings": "a: &a {k: 1}\n"
    + "".join(f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}]}}\n" for old, new in pairwise("abcdefghij")),
    "mappings of aliases": "a: &a {k: 1}\n"
    + "".join(f"{new}: &{new} {{x: *{old}, y: *{old}}}\n" for old, new in pairwise("abcdefghijklmnopqrstuv")),
    "an alias of itself": "a: &a [*a]",
    "a mapping in itself": "a: &a\n  b: *a",
    "brackets": "a: " + "[" * 5000,
    "dashes": "- " * 5000 + "x",
    "a number of 5,000 digits": "a: " + "9" * 5000,
    "a tag of Python": "a: !!python/object/apply:os.system [true]",
    "a word that is no boolean": "a: !!bool maybe",
    "a date that is none": "a: !!timestamp x",
    "too many characters": "a: " + "x" * MOST_CHARACTERS,
}


@pytest.mark.parametrize("what", BOMBS)
def test_yaml_that_stands_for_more_than_it_says_is_refused_in_a_sentence_wherever_it_is_read(
    what: str, tmp_path: Path
) -> None:
    with pytest.raises(WrongInputError) as cell:
        Document(BOMBS[what])
    with pytest.raises(UserErrorException) as conda:
        conda_file.parse(BOMBS[what], "The file")
    for error in (cell.value, conda.value):
        assert len(error.message) < 1000 and len(error.message.splitlines()) <= 5
    path = tmp_path / "environment.yml"
    path.write_text(BOMBS[what])
    with pytest.raises(UserErrorException):
        Environment.from_conda_specification("env", path)


def test_yaml_with_a_few_anchors_is_read() -> None:
    text = "base: &base {replicas: 2}\nname: x\nversions:\n  one: {<<: *base, cpu: 1}\n  two: *base\n"
    assert Document(text).data["versions"] == {"one": {"replicas": 2, "cpu": 1}, "two": {"replicas": 2}}


@pytest.mark.parametrize("text", ['{"a":' * 5000, "[" * 200_000, '{"workspace_name": ' + "9" * 5000 + "}"], ids=short)
def test_json_that_is_nested_deeply_is_refused_in_a_sentence_wherever_it_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / ".azureml").mkdir()
    (tmp_path / ".azureml" / "config.json").write_text(text)
    (tmp_path / "azureml_environment.json").write_text(text)
    with pytest.raises(UserErrorException, match="cannot be read as JSON"):
        config_file.find(tmp_path)
    with pytest.raises(UserErrorException, match="is not JSON"):
        Environment.load_from_directory(tmp_path)
    with pytest.raises(WrongInputError):
        body_in_cell(text + "]")
    with pytest.raises(ConfigurationError, match="is not JSON"):
        parse([], {"AML_APP_ROOT": str(tmp_path), "AZUREML_CONFIG_FILE": str(tmp_path / "azureml_environment.json")})
    kept = KeptScripts(tmp_path).save("score", "def init(): pass\ndef run(data): pass\n", None)
    for settings in kept.path.parent.glob("*.json"):
        settings.write_text(text)
    with pytest.raises(ScoringScriptNotFoundError, match="is empty or damaged"):
        KeptScripts(tmp_path).load("score")


CODE = CodeReference(digest="sha256:" + "0" * 64, entry_script="score.py")


@pytest.mark.parametrize(
    "path",
    [
        *("resources.cpu", "resources.memoryInGB", "resources.gpu", "scaling.replicas", "limits.maxQueueWaitMs"),
        *("limits.scoringTimeoutMs", "limits.maxBodyBytes", "limits.maxConcurrentRequests", "probe.periodSeconds"),
        *("probe.initialDelaySeconds", "probe.failureThreshold", "scaling.autoscale.maxReplicas", "reload"),
        *("scaling.autoscale.targetUtilization", "scaling.autoscale.refreshSeconds", "trafficPercentile"),
    ],
)
@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, 1e308, -1, 10**30, 10**5000, "9" * 400, [[]]], ids=short
)
def test_a_document_takes_no_number_that_no_machine_can_keep_to(path: str, number: object) -> None:
    *sections, field = path.split(".")
    document: dict[str, object] = {field: number}
    for section in reversed(sections):
        document = {section: document}
    with pytest.raises(SpecError) as caught:
        VersionSpec.parse({"code": CODE.document(), **document})
    assert len(caught.value.message) < 2000


@pytest.mark.parametrize(
    "variables",
    [
        {"": "x"},
        {"A=B": "x"},
        {"A\0": "x"},
        {"A": "x\0y"},
        {"A": "x" * (1 << 17)},
        {f"A{number}": "x" * 50_000 for number in range(30)},
        {f"A{number}": "x" for number in range(2000)},
        {"A": 12345},
        {"A": "\ud800"},
    ],
    ids=short,
)
def test_variables_that_no_process_can_be_started_with_are_refused_without_their_values(variables: object) -> None:
    with pytest.raises(SpecError) as caught:
        VersionSpec.parse({"code": CODE.document(), "environmentVariables": variables})
    assert "xx" not in caught.value.message and "12345" not in caught.value.message


@pytest.mark.parametrize("name", ["cpu_cores", "memory_gb", "cpu_cores_limit", "memory_gb_limit"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -1, 0])
def test_a_deployment_configuration_takes_no_number_that_is_not_finite(name: str, number: float) -> None:
    with pytest.raises(WebserviceException, match=name):
        AksWebservice.deploy_configuration(**{name: number})


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("number", text) for text in ("nan", "inf", "1e999", "x")),
        *(("integer", text) for text in ("1e99", "9" * 5000, "nan", "")),
        *(("cores", text) for text in ("nan", "1e9", "9" * 400)),
        *(("gigabytes", text) for text in ("inf", "9" * 400 + "G")),
        *(("duration", text) for text in ("nan", "99999999999h", "9" * 400)),
        *(("bounds", text) for text in ("1:" + "9" * 5000, "nan:1", ":")),
    ],
    ids=short,
)
def test_an_option_of_a_magic_takes_no_number_that_is_not_finite(kind: Any, text: str) -> None:
    with pytest.raises(ValueError, match="is not") as caught:
        read(Option("option", "an option", kind=kind), text)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("text", ["9" * 5000, "x:" + "9" * 5000, "1:" + "9" * 5000], ids=short)
def test_numbers_in_words_have_a_bound(text: str) -> None:
    for function in (replicas_of, steps_of, lambda word: shares_of([f"a={word}"]), lambda word: seconds_of(word, "x")):
        with pytest.raises(MLJupyterError):
            function(text)


@pytest.mark.parametrize("arguments", [("gc", "--unused-days", "nan"), ("gc", "--unused-days", "inf")])
def test_an_option_of_the_command_line_takes_no_number_that_is_not_finite(arguments: tuple[str, ...]) -> None:
    assert "is not a finite number" in run(*arguments, expected=2).output


@pytest.mark.parametrize("seconds", ["nan", "-1", "x"])
def test_the_controller_does_not_start_with_a_time_that_never_passes(seconds: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mljupyter.controller", str(tmp_path), "--idle-seconds", seconds]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert ended.returncode == 2 and "--idle-seconds" in ended.stderr and "Traceback" not in ended.stderr


HOSTILE = "<script>alert(1)</script> \"' onload=x \x1b]0;PWNED\x07 \x9b31m \u202egnp.exe \u2066 a\rb \x7f \ud800"
NEVER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_text_of_others_reaches_a_terminal_without_its_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, escaped in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stdout", stream)
        output.say(HOSTILE.replace("\ud800", ""))
        output.print_table(
            ["[red]NAME[/red]"], [[HOSTILE.replace("\ud800", "")], ["[link=https://evil.example]x[/link]"]]
        )
        output.print_fields([("Name", HOSTILE.replace("\ud800", ""))])
        text = stream.getvalue()
        if escaped:
            assert not NEVER.search(re.sub(r"\x1b\[[0-9;]*m", "", text))  # colours of the heading are our own
            assert r"\x1b]0;PWNED\x07 \x9b31m \u202egnp.exe" in text
            assert "[link=https://evil.example]x[/link]" in text
        else:
            assert "\x1b]0;PWNED\x07" in text


def test_json_that_is_printed_holds_the_same_value_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_document({HOSTILE: [HOSTILE]})
    printed = capsys.readouterr().out
    assert not NEVER.search(printed) and json.loads(printed) == {HOSTILE: [HOSTILE]}
    assert not NEVER.search(json_line({HOSTILE: HOSTILE}))


@pytest.mark.parametrize("text", [HOSTILE, "\n\t\r\n", "é 中 🙂 العربية", ""], ids=short)
def test_what_is_made_visible_keeps_letters_tabs_and_line_ends(text: str) -> None:
    shown = visible(text)
    assert not NEVER.search(shown.replace("\r\n", "")) and "\n" not in one_line(text)
    if text is not HOSTILE:
        assert shown == text


def test_errors_and_problems_hold_no_control_characters() -> None:
    for error in (MLJupyterError(HOSTILE), WebserviceException(HOSTILE)):
        assert not NEVER.search(error.message + str(error) + "".join(error._render_traceback_()))
    problem = Problem(code="RunFailed", message=HOSTILE[:-1], last_lines=[HOSTILE[:-1]])
    assert not NEVER.search(problem.text())


class Shown(HtmlRepr):
    """An object of the SDK with names, tags and a description of others."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _summary(self) -> Rows:
        return [(self.text, self.text), ("Tags", pairs({self.text: self.text}))]


def views(text: str) -> list[Any]:
    """Return every kind of view, made of text of others."""
    whole = text.encode("utf-8", "replace").decode()
    problem = Problem(code="X", message=whole, last_lines=[whole])
    version = VersionSpec(code=CODE, description=whole, tags={whole: whole})
    spec = EndpointSpec(
        name="doors",
        versions={"doors": version},
        default_version="doors",
        description=whole,
        tags={whole: whole},
    )
    return [
        Text(text),
        Text(problem.text()),
        Outcome("failed", text, text),
        Table([text, "B"], [[text, 1], [problem, text]], [], ""),
        Table(["A"], [], [], text),
        Plan(DeploymentPlan(spec, None), {text: text}),
        Shown(text),
    ]


class Tags(HTMLParser):
    """Collects the tags and attributes of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


TAGS = {"pre", "div", "span", "b", "code", "p", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}


@given(st.lists(st.sampled_from([*HOSTILE, *"<>&\"'/= \n\t\r", "<img src=x onerror=", "javascript:"])).map("".join))
@example(HOSTILE)
def test_a_view_holds_no_markup_and_no_control_characters_of_others(text: str) -> None:
    for view in views(text):
        html = view._repr_html_()
        found = Tags(html)
        assert found.names <= TAGS and found.attributes <= {"style", "scope", "colspan"}, html
        assert not NEVER.search(html.replace("\r\n", "\n"))
        if not isinstance(view, Shown):
            assert not NEVER.search(repr(view).replace("\r\n", "\n"))


@pytest.mark.parametrize("line", ["replicas: .inf", "cpu: .nan", "memory: -.inf", "replicas: 1.0e400", "port: 1e99"])
def test_a_cell_takes_no_number_that_is_not_finite(line: str) -> None:
    with pytest.raises(WrongInputError, match="Line 2"):
        values_in_cell(line, DEPLOYMENT_OPTIONS)


def test_what_a_log_panel_shows_and_saves_holds_no_control_characters() -> None:
    class Source:
        name = HOSTILE
        again = f"%logs {HOSTILE} -f"

        def view(self) -> dict[str, Any]:
            return {}

        def lines(self) -> Iterator[str]:
            yield HOSTILE + "\n"

        def cancel(self) -> None:
            pass

    panel = LogPanel(Source())
    wait_until(lambda: panel._held, "the line is there")
    forms, _ = panel._repr_mimebundle_()
    assert not NEVER.search(forms["text/html"]) and "<script" not in forms["text/html"]
    assert not NEVER.search(forms["text/plain"]) and not NEVER.search("".join(panel._held))
    panel.close()


@pytest.mark.parametrize("octet", [*range(0x20), *range(0x7F, 0xA0)])
def test_an_id_of_a_client_holds_no_control_characters(octet: int) -> None:
    for position in range(3):
        ids = [b"", b"", b""]
        ids[position] = b"a" + bytes([octet]) + b"31m"
        with pytest.raises(IdentifierError):
            answer_ids(*ids, b"")


def test_variables_are_masked_wherever_a_document_is_printed() -> None:
    spec = {"versions": {"a": {"environmentVariables": {"TOKEN": "hunter2"}}}, "other": [{"environmentVariables": {}}]}
    assert "hunter2" not in str(masked([spec, {"spec": spec}]))
    assert "hunter2" not in repr(VersionSpec(code=CODE, environment_variables={"TOKEN": "hunter2"}))


GOOD = {"seq": 1, "type": "trace", "time": "2026-01-01T00:00:00Z", "message": "m", "severity": "Error", "logger": "l"}


@pytest.mark.parametrize(
    "forged",
    [
        *("[" * 100_000, "5", "null", "{}", '{"time": 5}', '{"time": {}}', '{"time": null}'),
        '{"time": "2026-01-01T00:00:00Z", "deep": ' + "[" * 5000,
        '{"seq": ' + "9" * 5000 + "}",
    ],
    ids=short,
)
def test_a_record_that_a_script_imitates_does_not_hide_those_of_others(forged: str) -> None:
    good = json.dumps(GOOD)
    logs = [ReplicaLog(name, 0.0, lambda: [good, forged, good], lambda *_: LogPart([], None)) for name in ("a", "b")]
    assert len(newest_records(logs, 100).splitlines()) == 4


@pytest.mark.parametrize(
    "change",
    [
        *({"operationId": "f" * 33}, {"operationId": "x"}, {"operationId": 5}, {"time": "x"}, {"time": 5}),
        *({"type": "request", "resultCode": "9" * 5000}, {"type": "request", "duration": math.inf}, {"properties": []}),
        *({"severity": "none"}, {"message": {}}, {"logger": None}, {"type": "request", "name": 5}),
    ],
    ids=short,
)
def test_a_record_that_a_script_imitates_is_passed_over_on_its_way_out(change: dict[str, Any]) -> None:
    request = {"resultCode": 200, "duration": 1.0, "name": "POST /score", "id": "1" * 16, "operationId": "1" * 32}
    good = {**GOOD, **request, "properties": {"a": "\ud800", "b": 10**30, "\udfff": [1]}}
    spans, logs = spans_and_logs([good, {**good, **change}, {**good, "type": "request"}])
    assert (len(spans), len(logs)) == (1, 1)
    assert json.dumps([dict(span.attributes or {}) for span in spans], ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "state",
    [
        b"[" * 100_000,
        b"null",
        b'{"started": 1e999}',
        *(
            json.dumps(
                {"started": 1, "run_seconds_count": 1, "run_seconds_sum": 1, "wait_seconds_sum": 1} | forged
            ).encode()
            for forged in ({"started": 10**30}, {"started": -1}, {"run_seconds_sum": 1e300}, {"worker_pid": 10**30})
        ),
    ],
    ids=short,
)
def test_what_a_replica_counts_is_a_number_that_can_be_kept_or_is_passed_over(state: bytes) -> None:
    assert replica_counts._read(state) is None
    good = {"started": 1, "run_seconds_count": 1, "run_seconds_sum": 1, "wait_seconds_sum": 1, "worker_pid": 5}
    assert replica_counts._read(json.dumps(good).encode()) is not None


@pytest.mark.parametrize(
    "text", ["tool = 1", "[tool]\nmljupyter = 1", "a = " + "[" * 5000, "a = " + "9" * 5000], ids=short
)
def test_a_project_file_that_holds_something_else_gives_no_traceback(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with contextlib.suppress(WrongInputError):
        assert project_defaults("deploy", DEPLOYMENT_OPTIONS, tmp_path) == {}


def test_a_project_file_of_another_user_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.mljupyter.deploy]\nscore = "theirs.py"\n')
    assert project_defaults("deploy", DEPLOYMENT_OPTIONS, tmp_path)
    if os.getuid() == 0:
        os.chown(tmp_path / "pyproject.toml", 54321, 54321)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert project_defaults("deploy", DEPLOYMENT_OPTIONS, tmp_path) == {}
    assert "is not used: it or its directory belongs to" in capsys.readouterr().err
