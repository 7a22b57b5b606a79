"""Providers on this machine: kind, k3d and minikube, and any pair of commands that create and delete a cluster."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from mljupyter.exceptions import ComputeTargetException
from mljupyter.files import write_whole
from mljupyter.targets.kubernetes.providers import programs
from mljupyter.targets.kubernetes.providers.base import OnLine, Provider

MOST_ARGUMENTS = 100
MOST_CHARACTERS = 4096
_READY_WITHIN = "300s"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class _Tool:
    """The commands of a tool. They may contain ``{cluster}``, ``{kubeconfig}`` and ``{image}``."""

    create: str
    delete: str
    load: str
    site: str
    show: str = ""
    """Prints the kubeconfig, if `create` does not write it."""


TOOLS: Mapping[str, _Tool] = {
    "kind": _Tool(
        create=f"kind create cluster --name {{cluster}} --kubeconfig {{kubeconfig}} --wait {_READY_WITHIN}",
        delete="kind delete cluster --name {cluster} --kubeconfig {kubeconfig}",
        load="kind load docker-image {image} --name {cluster}",
        site="https://kind.sigs.k8s.io",
    ),
    "k3d": _Tool(
        create="k3d cluster create {cluster} --kubeconfig-update-default=false --kubeconfig-switch-context=false "
        f"--wait --timeout {_READY_WITHIN}",
        show="k3d kubeconfig get {cluster}",
        delete="k3d cluster delete {cluster}",
        load="k3d image import {image} --cluster {cluster}",
        site="https://k3d.io",
    ),
    "minikube": _Tool(
        create="minikube start --profile {cluster} --embed-certs --interactive=false",
        delete="minikube delete --profile {cluster}",
        load="minikube image load {image} --profile {cluster}",
        site="https://minikube.sigs.k8s.io",
    ),
}
"""The tools by name. The variable KUBECONFIG names the kubeconfig, too, so that the user's own stays unchanged."""


@dataclass(frozen=True)
class ToolProvider(Provider):
    """A cluster of kind, k3d or minikube.

    Parameters:
        name: of the tool.
        cluster: the name of the cluster for the tool.
        options: additional arguments of its command to create a cluster.

    Raises:
        ComputeTargetException: the name or an option breaks a rule.

    """

    name: str
    cluster: str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.cluster, str) or not _NAME.fullmatch(self.cluster):
            raise ComputeTargetException(
                f"cluster_name is {self.cluster!r}: 1 to 32 lower-case letters, digits and '-', a letter or digit "
                "first and last."
            )
        object.__setattr__(self, "options", checked_arguments("options", self.options))

    def check(self) -> None:
        """Check that the tool is installed."""
        if shutil.which(self.name) is None:
            others = [name for name in TOOLS if shutil.which(name) is not None]
            instead = f"use provider {others[0]!r}, which is there" if others else "attach an existing cluster"
            raise ComputeTargetException(
                f"provider {self.name!r} needs the command {self.name!r}, which is not on the PATH.\n"
                f"Install it ({TOOLS[self.name].site}), or {instead}."
            )

    def create(self, kubeconfig: Path, on_line: OnLine, cancel: Event) -> Path:
        """Create the cluster with the tool; its kubeconfig is a file of its own."""
        command = [*self._command(TOOLS[self.name].create, kubeconfig), *self.options]
        self._run(command, kubeconfig, on_line, cancel=cancel)
        if TOOLS[self.name].show:
            shown = self._command(TOOLS[self.name].show, kubeconfig)
            text = self._run(shown, kubeconfig, on_line, cancel=cancel, captured=True)
            write_whole(kubeconfig, text)
        if not kubeconfig.is_file():
            raise ComputeTargetException(f"{self.name} has created {self}, and no kubeconfig for it.")
        kubeconfig.chmod(0o600)
        return kubeconfig

    def delete(self, kubeconfig: Path, on_line: OnLine) -> None:
        """Delete the cluster with the tool, which does nothing if there is none."""
        self.check()
        self._run(self._command(TOOLS[self.name].delete, kubeconfig), kubeconfig, on_line)

    def load_image(self, reference: str, kubeconfig: Path, on_line: OnLine) -> bool:
        """Copy an image to the nodes with the tool."""
        self._run(self._command(TOOLS[self.name].load, kubeconfig, reference), kubeconfig, on_line)
        return True

    def settings(self) -> dict[str, Any]:
        """Return the parameters."""
        return asdict(self) | {"options": list(self.options)}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> ToolProvider:
        """Return the provider for the result of `settings`."""
        return cls(settings["name"], settings["cluster"], tuple(settings["options"]))

    @property
    def how_to_delete(self) -> str:
        """The tool's command that deletes the cluster."""
        words = self._command(TOOLS[self.name].delete.partition(" --kubeconfig")[0], Path())
        return shlex.join(words)

    def __str__(self) -> str:
        return f"{self.name} cluster {self.cluster!r}"

    def _command(self, template: str, kubeconfig: Path, image: str = "") -> list[str]:
        values = {"cluster": self.cluster, "kubeconfig": str(kubeconfig), "image": image}
        return [word.format_map(values) for word in template.split()]

    def _run(
        self,
        command: Sequence[str],
        kubeconfig: Path,
        on_line: OnLine,
        *,
        cancel: Event | None = None,
        captured: bool = False,
    ) -> str:
        return programs.run(
            command, on_line, cancel=cancel, environment={"KUBECONFIG": str(kubeconfig)}, captured=captured
        )


@dataclass(frozen=True)
class CommandProvider(Provider):
    """A cluster that a command creates, and another one deletes.

    Parameters:
        create_command, delete_command: programs with their arguments; no shell reads them. Arguments of
            `delete_command` are stored: give secrets in environment variables.
        kubeconfig: the path of the kubeconfig that `create_command` writes; None if it prints the kubeconfig on
            standard output.
        directory: the working directory of both.

    Raises:
        ComputeTargetException: a command breaks a rule.

    """

    name: str = field(default="command", init=False)
    create_command: tuple[str, ...]
    delete_command: tuple[str, ...]
    kubeconfig: str | None
    directory: str

    def __post_init__(self) -> None:
        for name in ("create_command", "delete_command"):
            words = checked_arguments(name, getattr(self, name))
            if not words:
                raise ComputeTargetException(
                    f"{name} is empty: provider 'command' needs create_command and delete_command, each a list: the "
                    "program and its arguments."
                )
            object.__setattr__(self, name, words)

    def check(self) -> None:
        """Check that both programs are there."""
        for name in ("create_command", "delete_command"):
            self._program(name)

    def create(self, kubeconfig: Path, on_line: OnLine, cancel: Event) -> Path:
        """Run the command that creates the cluster."""
        printed = self.kubeconfig is None
        text = self._run("create_command", on_line, cancel=cancel, captured=printed)
        if self.kubeconfig is None:
            if not text.strip():
                raise ComputeTargetException(
                    "create_command has printed no kubeconfig on standard output: print it there, or give the path of "
                    "the file that it writes: kubeconfig=..."
                )
            write_whole(kubeconfig, text)
            return kubeconfig
        written = Path(self.kubeconfig)
        if not written.is_file():
            raise ComputeTargetException(f"create_command has ended, and there is no kubeconfig at {written}.")
        return written

    def delete(self, kubeconfig: Path, on_line: OnLine) -> None:
        """Run the command that deletes the cluster."""
        self._run("delete_command", on_line)

    def settings(self) -> dict[str, Any]:
        """Return what is needed to delete the cluster; the command that created it is not part of it."""
        return {
            "name": self.name,
            "delete_command": list(self.delete_command),
            "kubeconfig": self.kubeconfig,
            "directory": self.directory,
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> CommandProvider:
        """Return the provider for the result of `settings`: it can only delete."""
        delete = tuple(settings["delete_command"])
        return cls(delete, delete, settings["kubeconfig"], settings["directory"])

    @property
    def how_to_delete(self) -> str:
        """The command that deletes the cluster."""
        return shlex.join(self.delete_command)

    def __str__(self) -> str:
        return f"cluster of the command {Path(self.delete_command[0]).name!r}"

    def _program(self, name: str) -> str:
        word = getattr(self, name)[0]
        found = shutil.which(Path(self.directory) / word if os.sep in word else word)
        if found is None:
            raise ComputeTargetException(
                f"{name}: there is no program {word!r} on the PATH or at this path, or it cannot be executed."
            )
        return str(found)

    def _run(self, name: str, on_line: OnLine, *, cancel: Event | None = None, captured: bool = False) -> str:
        program, words = self._program(name), getattr(self, name)
        return programs.run(
            [program, *words[1:]],
            on_line,
            cancel=cancel,
            directory=Path(self.directory),
            captured=captured,
            shown=f"{name} ({Path(program).name})",  # its arguments may have secrets
        )


def checked_arguments(name: str, words: Any) -> tuple[str, ...]:
    """Return a list of arguments as a tuple.

    Parameters:
        name: of the parameter, for errors.
        words: the list.

    Raises:
        ComputeTargetException: it is no list of texts, or too long.

    """
    if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(one, str) for one in words):
        raise ComputeTargetException(
            f"{name} must be a list of texts, one for each argument, such as ['--wait', '60s']: no shell splits it."
        )
    if len(words) > MOST_ARGUMENTS or any(len(one) > MOST_CHARACTERS or "\0" in one for one in words):
        raise ComputeTargetException(
            f"{name} has {len(words)} arguments: at most {MOST_ARGUMENTS} of at most {MOST_CHARACTERS} characters each."
        )
    return tuple(words)
