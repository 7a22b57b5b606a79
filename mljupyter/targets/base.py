"""Target: the interface of a compute target: what it needs, whether it is available, and its endpoint client.

A compute target is one package. It registers itself as an entry point of the group ``mljupyter.targets``, and nothing
else in the product knows its name. See `mljupyter.targets.catalog` for how targets are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from mljupyter.client.base import ControlPlaneClient
from mljupyter.client.reach import Reach
from mljupyter.runtimes.base import Usage
from mljupyter.spec import ReplicaStatus, RouterSize


class Needs(StrEnum):
    """The form in which a target takes the content of a version."""

    INTERPRETER = "interpreter"
    """A Python environment of this machine: replicas are processes."""

    ENGINE_IMAGE = "engine image"
    """An image on the Docker engine: replicas are containers."""

    REGISTRY_IMAGE = "registry image"
    """An image in a container registry: replicas run on other machines."""


class TargetContext(Protocol):
    """The part of a workspace that a target may read."""

    @property
    def directory(self) -> Path:
        """The workspace's directory."""
        ...

    @property
    def name(self) -> str:
        """The workspace's name."""
        ...

    @property
    def artifact_location(self) -> str:
        """The directory or URL of the artifact store, without credentials."""
        ...


@dataclass(frozen=True)
class Finding:
    """One finding of a target's check, for `mljupyter doctor`.

    Parameters:
        name: the part that was checked.
        state: ``ok``, ``note`` or ``failed``.
        text: the finding.
        fix: the command or step that repairs it; empty if none is needed.

    """

    name: str
    state: str
    text: str
    fix: str = ""


class Target:
    """A place to run endpoints. A subclass sets the attributes and defines `availability` and `endpoints`.

    Attributes:
        name: its unique name in a workspace: ``--to NAME``, ``ws.compute_targets[NAME]``.
        type: the type that users see, such as ``Docker``.
        about: one sentence for people who choose a target.
        needs: the form in which it takes the content of a version.
        cautions: arguments of deployment configurations that do less here than users may expect, each with a sentence
            that says so and names the way out.
        mounts_models: whether its replicas can fetch models from the workspace's container registry when they start.
        stands_for: the name of the target that runs what is deployed here, for a target that is only another name;
            empty for all others.
        runs_scripts: whether scripts that are submitted to it run as processes of this machine.
        shares_router: whether its endpoints are behind the router of the workspace on this machine, and use its
            address, certificates and token keys.

    """

    name: str
    type: str
    about: str = ""
    needs: Needs = Needs.REGISTRY_IMAGE
    cautions: Mapping[str, str] = MappingProxyType({})
    mounts_models: bool = False
    stands_for: str = ""
    runs_scripts: bool = False
    shares_router: bool = False

    @property
    def ignored_arguments(self) -> frozenset[str]:
        """The arguments of deployment configurations that have no effect here."""
        return frozenset()

    def availability(self) -> str | None:
        """Return why the target cannot be used now, with a solution; None if it can. May take seconds."""
        raise NotImplementedError

    def serving(self) -> Target:
        """Return the target that runs what is deployed here: this one, unless it is only another name.

        Raises:
            ComputeTargetException: nothing can be deployed here.

        """
        return self

    def endpoints(self) -> ControlPlaneClient:
        """Return the client of the control plane that runs this target's endpoints.

        Targets with the same control plane return the same object.
        """
        raise NotImplementedError

    def has_endpoints(self) -> bool:
        """Return False if it is certain, without a request to the control plane, that there is no endpoint."""
        return True

    def is_running(self) -> bool:
        """Return whether the control plane is running."""
        return True

    def has_crashed(self) -> bool:
        """Return whether the control plane has ended without having been stopped. Starts nothing."""
        return False

    def was_stopped(self) -> bool:
        """Return whether the control plane was stopped while it had endpoints, which serve on. Starts nothing."""
        return False

    def reach(self) -> Reach | None:
        """Return how this machine connects to scoring URIs with TLS; None for a connection to the host of the URI."""
        return None

    def way_of(self, uri: str) -> str | None:
        """Return how a scoring URI of an endpoint here is reached, for people; None where there is only one way."""
        return None

    def router_size(self) -> RouterSize | None:
        """Return the size of the router that its endpoints are behind; None where the router is a single process.

        Raises:
            ControllerError: its control plane does not answer.

        """
        return None

    def image_place(self, registry: str | None) -> str:
        """Return the place from which replicas get their images: ``docker`` or ``registry/HOST``.

        Parameters:
            registry: the host of the workspace's container registry, None without one.

        """
        return "docker"

    def check_image(self, reference: str) -> None:
        """Check that replicas would get an image. May take seconds.

        Raises:
            ComputeTargetException: they would not, with the reason and a solution.

        """

    def meter(self, replica: ReplicaStatus) -> Callable[[], Usage] | None:
        """Return a function that measures CPU time and memory of a replica; None if this machine cannot measure them.

        `Model.profile` calls the function five times a second. It raises `RuntimeUnavailableError` if the replica has
        ended.
        """
        return None

    def findings(self) -> Sequence[Finding]:
        """Return the findings of a check of this target. The check leaves everything as it was."""
        return ()

    @property
    def runs_images(self) -> bool:
        """Whether replicas are started from images."""
        return self.needs is not Needs.INTERPRETER

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, type={self.type!r})"
