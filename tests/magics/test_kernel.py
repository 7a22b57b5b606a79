"""What a frontend gets from a real kernel: errors that are errors, completion, interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from mljupyter.core import Workspace
from tests.magics.conftest import SCRIPT
from tests.waiting import wait_until

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

        self.client.execute_interactive(code, output_hook=keep, timeout=120)
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
        manager, client = start_new_kernel(cwd=str(directory))
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


def test_the_kernel_completes_options_and_choices(kernel: Kernel) -> None:
    def complete(line: str) -> list[str]:
        content = kernel.client.complete(line, reply=True, timeout=30)["content"]
        return [line[: content["cursor_start"]] + match for match in content["matches"]]

    assert complete("%deploy adder --rep") == ["%deploy adder --replicas"]
    assert complete("%deploy adder --kind a") == ["%deploy adder --kind aks", "%deploy adder --kind aci"]
    assert complete("%mlj dep") == ["%mlj deploy"]


def test_interrupting_the_wait_is_an_error_that_says_how_to_follow(kernel: Kernel) -> None:
    script = SCRIPT.replace("factor = 2", "import time; time.sleep(120); factor = 2")
    kernel.run(f"%%score slow\n{script}")
    interrupted: list[bool] = []

    def interrupt_once_accepted() -> None:
        workspace = Workspace.get("kernel-team")
        wait_until(workspace.endpoint_records, what="the deployment is accepted")
        kernel.manager.interrupt_kernel()

    def interrupt_once_waiting(message: Message) -> None:
        if message["msg_type"] == "stream" and "script  slow ✓" in message["content"]["text"] and not interrupted:
            interrupted.append(True)
            threading.Thread(target=interrupt_once_accepted).start()

    content = kernel.error("%deploy slow-one --score slow", interrupt_once_waiting)
    assert content["ename"] == "WaitInterruptedError"
    assert "%endpoints" in content["evalue"]
    kernel.run("%undeploy slow-one")
    assert kernel.error("%undeploy slow-one")["ename"] == "EndpointMissingError"
