"""What a frontend gets from a real kernel: errors that are errors, completion, interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from mljupyter.core import Workspace
from tests.magics.conftest import SCRIPT
from tests.waiting import COMMAND_SECONDS, HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
Message = dict[str, Any]


class Kernel:
    """A kernel, and the messages that a cell makes it publish."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str, on_message: Callable[[Message], None] = lambda message: None) -> list[Message]:
        """Run a cell and return what was published for it."""
        found: list[Message] = []

        def keep(message: Message) -> None:
            found.append(message)
            on_message(message)

        self.client.execute_interactive(code, output_hook=keep, timeout=COMMAND_SECONDS)
        return found

    def error(self, code: str, on_message: Callable[[Message], None] = lambda message: None) -> Message:
        """Run a cell that must publish exactly one error, and return its content."""
        errors = [message["content"] for message in self.run(code, on_message) if message["msg_type"] == "error"]
        assert len(errors) == 1
        content: Message = errors[0]
        return content


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    directory = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(directory / "home"))
        patch.setenv("IPYTHONDIR", str(directory / "ipython"))
        patch.delenv("MLJUPYTER_WORKSPACE", raising=False)
        manager, client = start_new_kernel(startup_timeout=COMMAND_SECONDS, cwd=str(directory))
        kernel = Kernel(manager, client)
        try:
            kernel.run("%load_ext mljupyter\n%mlj workspace kernel-team --create")
            yield kernel
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            if Path(directory / "home/workspaces/kernel-team").exists():
                Workspace.get("kernel-team").delete(delete_dependent_resources=True)


@pytest.mark.parametrize(
    ("cell", "name", "said"),
    [
        ("%undeploy nothing", "EndpointMissingError", "There is no endpoint 'nothing'"),
        ("%deploy x --replicas two --score s", "WrongInputError", "'two' is not a whole number"),
        ('%invoke x "open', "WrongInputError", "Close the quotation."),
        ("%deploy adder --score nothing", "ScoringScriptNotFoundError", "There is no scoring script 'nothing'"),
        ("%%score bad\ndef init(: pass", "ScoringScriptError", "Line 2: "),
        ("%mlj nothing", "WrongInputError", "no subcommand 'nothing'"),
        ("%mlj workspace nothing", "WorkspaceMissingError", "there is no workspace 'nothing'"),
    ],
)
def test_a_failed_magic_publishes_a_real_error_of_a_few_lines(kernel: Kernel, cell: str, name: str, said: str) -> None:
    content = kernel.error(cell)
    shown = "\n".join(content["traceback"])
    assert content["ename"] == name
    assert said in shown
    assert len(shown.splitlines()) <= 5
    assert "Traceback" not in shown


def test_nothing_of_ours_is_on_stderr(kernel: Kernel) -> None:
    messages = kernel.run("%mlj\n%endpoints")
    assert not [message for message in messages if message["content"].get("name") == "stderr"]


def complete(kernel: Kernel, line: str) -> list[str]:
    """Return the lines that the kernel completes a line to."""
    content = kernel.client.complete(line, reply=True, timeout=HANG_SECONDS)["content"]
    return [line[: content["cursor_start"]] + match for match in content["matches"]]


def test_the_kernel_completes_options_and_choices(kernel: Kernel) -> None:
    assert complete(kernel, "%deploy adder --rep") == ["%deploy adder --replicas"]
    assert complete(kernel, "%deploy adder --kind a") == ["%deploy adder --kind aks", "%deploy adder --kind aci"]
    assert complete(kernel, "%mlj dep") == ["%mlj deploy"]
    kernel.run("rows_of_today = [[1]]")
    assert complete(kernel, "%invoke adder rows_of") == ["%invoke adder rows_of_today"]


SLOW = SCRIPT.replace("factor = 2", "import time; time.sleep(600); factor = 2")


def interrupting(kernel: Kernel, accepted: Callable[[], object], after: str) -> Callable[[Message], None]:
    """Return what watches a cell's messages and interrupts it once it has said `after`, and `accepted` holds."""
    seen: list[bool] = []

    def interrupt() -> None:
        wait_until(accepted, what="the deployment is accepted")
        kernel.manager.interrupt_kernel()

    def watch(message: Message) -> None:
        if message["msg_type"] == "stream" and after in message["content"]["text"] and not seen:
            seen.append(True)
            threading.Thread(target=interrupt).start()

    return watch


def test_interrupting_a_new_deployment_takes_it_away(kernel: Kernel) -> None:
    kernel.run(f"%%score slow\n{SLOW}")
    workspace = Workspace.get("kernel-team")
    watch = interrupting(kernel, workspace.endpoint_records, after="script  slow ✓")
    content = kernel.error("%deploy slow-one --score slow", watch)
    assert content["ename"] == "DeploymentCancelledError"
    assert "It was new, and was deleted." in content["evalue"]
    assert not workspace.endpoint_records()


def test_interrupting_an_update_goes_back_to_what_was_there(kernel: Kernel) -> None:
    kernel.run(f"%%score quick\n{SCRIPT}")
    kernel.run(f"%%score slow\n{SLOW}")
    kernel.run("%deploy steady --score quick --kind aci")
    workspace = Workspace.get("kernel-team")
    service = workspace.webservices["steady"]
    before = workspace.endpoint_records()[0]

    def accepted() -> bool:
        return workspace.endpoint_records()[0].generation > before.generation

    content = kernel.error("%deploy steady --score slow --kind aci", interrupting(kernel, accepted, after="slow ✓"))
    assert content["ename"] == "DeploymentCancelledError"
    assert "It is being restored to its previous state" in content["evalue"]
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert workspace.endpoint_records()[0].spec.versions == before.spec.versions
    assert service.run('{"data": [[1]]}') == [2]
    service.delete()


def test_a_deployment_that_is_not_waited_for_goes_on_and_waiting_for_it_can_be_given_up(kernel: Kernel) -> None:
    kernel.run(f"%%score slow\n{SLOW}")
    kernel.run("%deploy slow-two --score slow --no-wait")
    workspace = Workspace.get("kernel-team")
    watch = interrupting(kernel, workspace.endpoint_records, after="not Healthy yet")
    content = kernel.error("%deploy slow-two --score slow", watch)
    assert content["ename"] == "WaitInterruptedError"
    assert [record.spec.name for record in workspace.endpoint_records()] == ["slow-two"]
    kernel.run("%undeploy slow-two")
    assert kernel.error("%undeploy slow-two")["ename"] == "EndpointMissingError"


def test_following_an_endpoint_gives_a_panel_at_once_that_is_readable_without_widgets_and_lives_during_cells(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.run(f"%%score quick\n{SCRIPT}\n")
    kernel.run("%deploy followed --score quick --kind aci")
    completed = ["%logs followed"]
    wait_until(lambda: complete(kernel, "%logs fol") == completed, what="a new endpoint's name is completed")
    for line in ("%monitor followed", "%logs followed -f"):
        shown = [message["content"]["data"] for message in kernel.run(line) if message["msg_type"] == "display_data"]
        assert set(shown[0]) >= {"application/vnd.jupyter.widget-view+json", "text/plain", "text/html"}
        assert set(shown[1]) == {"text/plain", "text/html"}, "a reader that prefers a dead widget shows this"
        assert f"{line} shows it live again." in shown[1]["text/plain"]
    kernel.run("from mljupyter.widgets.panels import live_panel; live_panel._UNWATCHED_AFTER = 1.5")
    comm, whole = ticks_of_a_cell(kernel, "panel = %monitor followed\ndisplay(panel)", tmp_path / "seen")
    assert any(whole), "a view whose first message is not read yet needs all data as well"
    said = {"comm_id": comm, "data": {"method": "custom", "content": {"kind": "hello"}}}
    kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", said))
    ticks_of_a_cell(kernel, "", tmp_path / "seen-again", comm)
    kernel.run("%undeploy followed")


def ticks_of_a_cell(kernel: Kernel, line: str, seen: Path, comm: str = "") -> tuple[str, list[bool]]:
    """Run a cell that blocks the kernel until a panel has sent data three times.

    Return the comm of the panel, and which of its messages had all data.

    Parameters:
        kernel: the kernel.
        line: the first line of the cell.
        seen: the path of the file that ends the cell.
        comm: the comm of the panel; by default the last one that the cell opens.

    """
    cell = kernel.client.execute(f"{line}\nimport os, time\nwhile not os.path.exists({str(seen)!r}): time.sleep(0.05)")
    is_new = not comm
    found: list[bool] = []
    while True:
        message = kernel.client.get_iopub_msg(timeout=HANG_SECONDS)
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open" and is_new:
            comm = content["comm_id"]
        sent = content["data"].get("content", {}) if kind == "comm_msg" and content["comm_id"] == comm else {}
        found += [sent["whole"]] if sent.get("kind") == "tick" else []
        if len(found) == 3:
            seen.touch()
        if content.get("execution_state") == "idle" and message["parent_header"].get("msg_id") == cell:
            return comm, found


def test_following_an_endpoint_in_a_terminal_ends_with_an_interrupt(kernel: Kernel, tmp_path: Path) -> None:
    kernel.run(f"%%score quick\n{SCRIPT}\n")
    kernel.run("%deploy followed --score quick --kind aci")
    home = Path(Workspace.get("kernel-team").directory).parents[1]
    script = tmp_path / "follow.ipy"
    script.write_text(
        "%load_ext mljupyter\n%mlj workspace kernel-team\n%monitor followed --every 500s\n%logs followed -f\n"
    )
    terminal = subprocess.Popen(
        [sys.executable, "-m", "IPython", str(script)],
        env={**os.environ, "MLJUPYTER_HOME": str(home), "IPYTHONDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert terminal.stdout is not None
        for until in ("p95 ms", "the scoring script is ready"):
            assert any(until in line for line in terminal.stdout), until
            terminal.send_signal(signal.SIGINT)
        rest = terminal.communicate(timeout=HANG_SECONDS)[0]
    finally:
        terminal.kill()
    assert "Stopped following 'followed'." in rest
    assert "Traceback" not in rest
    kernel.run("%undeploy followed")


def test_interrupting_a_change_takes_it_back_and_the_error_is_short(kernel: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "closed"
    waiting = SCRIPT.replace(
        "factor = 2", f"import os, time\n    while os.path.exists({str(gate)!r}): time.sleep(0.05)\n    factor = 2"
    )
    kernel.run(f"%%score waiting\n{waiting}")
    kernel.run("%deploy changed --score waiting --replicas 2")
    kernel.run("%scale changed 1")
    workspace = Workspace.get("kernel-team")
    workspace.webservices["changed"].wait_for_deployment(timeout_sec=HANG_SECONDS)
    before = workspace.endpoints.endpoint("changed")
    gate.touch()

    def interrupt() -> None:
        wait_until(lambda: workspace.endpoints.endpoint("changed").generation > before.generation, what="it is begun")
        kernel.manager.interrupt_kernel()

    thread = threading.Thread(target=interrupt)
    thread.start()
    content = kernel.error("%rollback changed")
    thread.join()
    gate.unlink()
    assert content["ename"] == "StoppedError"
    assert content["evalue"].startswith("%rollback was interrupted. It is being restored to its previous state")
    assert len(content["traceback"]) == 1
    assert workspace.endpoints.endpoint("changed").spec == before.spec
    kernel.run("%undeploy changed")
