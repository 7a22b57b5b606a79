"""Build images with a Docker engine: its classic builder, or BuildKit where there is one."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mljupyter.build.environments.definition import BuildContextDefinition, redacted
from mljupyter.build.environments.resolver import SourceBuilds, secret_values
from mljupyter.build.environments.uv import uv_platform
from mljupyter.build.images.builder import BuiltImage, built, failed
from mljupyter.build.images.docker import buildkit
from mljupyter.build.images.docker.base_python import PythonInside, python_in
from mljupyter.build.images.docker.engine import (
    BUILD_TIMEOUT_SECONDS,
    connect,
    images_with,
    list_packages,
    pull,
    push,
    translated,
)
from mljupyter.build.images.errors import BuildFailedError, ImageError, RegistryNotFoundError
from mljupyter.build.images.events import BuildLog, OnEvent
from mljupyter.build.images.hints import source_cannot_be_built
from mljupyter.build.images.oci.layers import tree_entries, write_entries
from mljupyter.build.images.plan import layout
from mljupyter.build.images.plan.base_context import fetch_base_context
from mljupyter.build.images.plan.context import Store, save_context, save_source_context
from mljupyter.build.images.plan.dockerfile import STAGE_PREFIX
from mljupyter.build.images.plan.pins import with_pins_that_exist
from mljupyter.build.images.plan.plan import ImagePlan
from mljupyter.build.images.registry.base_image import cache_directory
from mljupyter.build.images.registry.credentials import RegistryCredentials
from mljupyter.build.images.registry.references import Reference

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

LABEL_REPLICA = "mljupyter/replica"
_FINISHED_WITHIN_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_STEP = re.compile(r"Step \d+/\d+ : (?P<instruction>.*)")
_STAGE = re.compile(r"FROM\s+(?:--\S+\s+)*\S+(?:\s+AS\s+(?P<name>\S+))?\s*$", re.IGNORECASE)


class DockerBuilder:
    """Builds on a Docker engine, and pushes to a registry if one is named.

    Parameters:
        store: the artifact store with models and code.
        url: the address of the engine; None for DOCKER_HOST, else this machine's engine.
        registry: the registry that images are pushed to; None leaves them on the engine.
        credentials: credentials of registries. Those of ``docker login`` are used as well.
        use_buildkit: None for BuildKit where the engine and its client offer it.

    Raises `BuilderUnavailableError` when no engine can be reached.
    """

    def __init__(
        self,
        store: Store,
        *,
        url: str | None = None,
        registry: str | None = None,
        credentials: tuple[RegistryCredentials, ...] = (),
        use_buildkit: bool | None = None,
    ) -> None:
        self._store = store
        self._url = url
        self._registry = registry
        self._credentials = credentials
        self._use_buildkit = use_buildkit
        self._client = connect(url, BUILD_TIMEOUT_SECONDS)

    @property
    def place(self) -> str:
        """The place of its images."""
        return f"registry/{self._registry}" if self._registry else f"docker/{self._url}" if self._url else "docker"

    def find(self, plan: ImagePlan) -> BuiltImage | None:
        """Return the engine's image of this plan, found by its label."""
        if self._registry is not None:
            return None
        with translated():
            images = images_with(self._client, f"{layout.LABEL_PLAN}={plan.digest}")
        tagged = [image for image in images if image.tags]
        return self._described(tagged[0], tagged[0].tags[0], None) if tagged else None

    def build(
        self,
        plan: ImagePlan,
        *,
        tag: str,
        on_event: OnEvent | None = None,
        cancel: threading.Event | None = None,
    ) -> BuiltImage:
        """Build the image and name it `tag`; see `Builder.build`."""
        credentials = (*plan.credentials, *self._credentials)
        log = BuildLog(on_event, [secret for one in credentials for secret in one.secrets], cancel)
        log.hide(secret_values(plan.packages.lines()))
        return built(log, lambda log: self._build(plan, tag, credentials, log))

    def remove(self, reference: str) -> None:
        """Remove an image from the engine. Do nothing when it does not exist.

        Stopped replicas that are kept for their logs do not count. Draining replicas are waited for. Raises
        `ImageError` while other containers use the image, and when the engine refuses.
        """
        deadline = time.monotonic() + _FINISHED_WITHIN_SECONDS
        with contextlib.suppress(RegistryNotFoundError), translated():
            while True:
                found = self._client.containers.list(all=True, filters={"ancestor": reference}, ignore_removed=True)
                users = [one for one in found if not _ended_replica(one)]
                if not users:
                    self._client.images.remove(reference, force=bool(found))
                    return
                if not all(LABEL_REPLICA in one.labels for one in users) or time.monotonic() > deadline:
                    names = ", ".join(sorted(str(one.name) for one in users))
                    raise ImageError(
                        f"{reference} is in use by the container {names}: it cannot be removed.\n"
                        f"Remove that first: docker rm -f {names.replace(',', '')}"
                    )
                time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """Close the connections to the engine."""
        self._client.close()

    def _build(
        self, plan: ImagePlan, tag: str, credentials: tuple[RegistryCredentials, ...], log: BuildLog
    ) -> BuiltImage:
        if plan.own_image is not None:
            with log.stage("image"):
                return self._take(Reference.parse(plan.own_image), credentials, log)
        with tempfile.TemporaryDirectory(prefix="mljupyter-image-") as temporary:
            directory = Path(temporary) / "context"
            if plan.base_context is not None:
                self._build_base(plan, plan.base_context, Path(temporary) / "base", log)
            elif plan.base_image is not None:
                self._fetch_base(Reference.parse(plan.base_image), plan.platform, credentials, log)
            with log.stage("context"):
                plan = self._relaxed(plan, Path(temporary) / "pins", log)
                save_context(plan, self._store, directory, writable=False, on_file=log.raise_if_cancelled, log=log)
            with _archive(directory, log) as context:
                if self._by_buildkit():
                    buildkit.run(context, tag, plan.platform, log, self._url)
                else:
                    self._classic(plan, context, tag, log)
        with log.stage("contents"), translated():
            image = self._described(self._client.images.get(tag), tag, log)
        if self._registry is None:
            return image
        with log.stage("push"):
            digest = push(self._client, Reference.parse(tag), credentials, log.line)
            return replace(image, digest=digest)

    def _relaxed(self, plan: ImagePlan, scratch: Path, log: BuildLog) -> ImagePlan:
        """Return the plan with pins relaxed for the image's Python, if that Python is known before the build."""
        wanted = plan.packages.python_version
        found = python_in(self._client, plan.base_image, wanted) if plan.base_image is not None else None
        if found is None and wanted is not None:
            found = PythonInside(int(wanted.partition(".")[2]), musl=False)
        if found is None:
            return plan
        machine = plan.platform.partition("/")[2]
        document = [plan.base_image, plan.base_dockerfile, plan.extra_steps]
        sources = SourceBuilds(
            f"in the image on Python 3.{found.minor}",
            hashlib.sha256(json.dumps(document).encode()).hexdigest(),
            functools.partial(self._builds_source, plan, scratch / "source", threading.Lock(), log),
        )
        return with_pins_that_exist(
            plan,
            minor=found.minor,
            platform=uv_platform(machine, musl=found.musl),
            sources=sources,
            scratch=scratch,
            cache=cache_directory(),
            log=log,
        )

    def _by_buildkit(self) -> bool:
        return buildkit.offered(self._client) if self._use_buildkit is None else self._use_buildkit

    def _builds_source(
        self, plan: ImagePlan, directory: Path, one_at_a_time: threading.Lock, log: BuildLog, line: str
    ) -> bool:
        """Return whether the package of a requirement can be built in the image; True if another step fails."""
        with one_at_a_time:
            save_source_context(plan, line, directory)
            attempt = BuildLog(lambda event: log.line(event.text) if event.state is None else None, cancel=log.cancel)
            log.line(f"{redacted(line)} exists only as source: trying to build it")
            try:
                with _archive(directory, log) as context:
                    if self._by_buildkit():
                        buildkit.run(context, None, plan.platform, attempt, self._url)
                    else:
                        self._classic(plan, context, None, attempt)
            except BuildFailedError:
                return not source_cannot_be_built([event.text for event in attempt.events])
            return True

    def _take(self, own: Reference, credentials: tuple[RegistryCredentials, ...], log: BuildLog) -> BuiltImage:
        self._present(own, None, credentials, log)
        with translated():
            image = self._client.images.get(str(own))
        return BuiltImage(str(own), str(image.id), tuple(image.attrs["RootFS"].get("Layers", [])), (), log)

    def _build_base(self, plan: ImagePlan, context: BuildContextDefinition, directory: Path, log: BuildLog) -> None:
        """Build the base image from the environment's own build context. The engine caches its steps."""
        with log.stage("base image"):
            place = fetch_base_context(context, self._store, directory, log)
            with _archive(place, log) as archived:
                self._classic(plan, archived, str(plan.base_image), log, context.dockerfile_path, staged=False)

    def _fetch_base(
        self, base: Reference, platform: str, credentials: tuple[RegistryCredentials, ...], log: BuildLog
    ) -> None:
        with log.stage("base image"):
            self._present(base, platform, credentials, log)

    def _present(
        self,
        reference: Reference,
        platform: str | None,
        credentials: tuple[RegistryCredentials, ...],
        log: BuildLog,
    ) -> None:
        """Pull an image if the engine does not have it."""
        try:
            with translated():
                self._client.images.get(str(reference))
            log.line(f"the engine has {reference}")
        except RegistryNotFoundError:
            log.line(f"pulling {reference}")
            pull(self._client, reference, credentials, platform=platform, on_line=log.line)

    def _described(self, image: Any, reference: str, log: BuildLog | None) -> BuiltImage:
        environment = list_packages(self._client, image.id, f"{layout.ENVIRONMENT}/bin/python", "environment")
        server = list_packages(self._client, image.id, f"{layout.SERVER_ENVIRONMENT}/bin/python", "server")
        layers = tuple(image.attrs["RootFS"].get("Layers", []))
        relaxed = image.labels.get(layout.LABEL_RELAXED)
        return BuiltImage(reference, str(image.id), layers, (*environment, *server), log, relaxed)

    def _classic(
        self,
        plan: ImagePlan,
        context: IO[bytes],
        tag: str | None,
        log: BuildLog,
        dockerfile: str | None = None,
        *,
        staged: bool = True,
    ) -> None:
        before = self._leftovers(plan)
        try:
            with translated(), _Cancellable(self._client, log) as api:
                messages = api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=tag,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    dockerfile=dockerfile,
                    platform=None,
                )
                self._follow(messages, log, staged=staged)
            log.raise_if_cancelled()
        except BaseException:
            if log.cancel.is_set():
                self._clean_up(plan, before)
                log.raise_if_cancelled()
            raise
        if staged:
            log.end("succeeded")

    def _follow(self, messages: Iterator[dict[str, Any]], log: BuildLog, *, staged: bool) -> None:
        for message in messages:
            log.raise_if_cancelled()
            text = str(message.get("stream") or message.get("status") or "")
            step = _STEP.match(text)
            if step and staged:
                stage = _STAGE.match(step["instruction"])
                if stage:
                    log.begin((stage["name"] or "image").removeprefix(STAGE_PREFIX))
            log.line(text)
            if error := message.get("error"):
                log.line(str(error))
                raise failed(log, log.redacted(str(error)))

    def _leftovers(self, plan: ImagePlan) -> set[tuple[str, str]]:
        """Return the untagged images and the containers that builds of this environment have made."""
        api = self._client.api
        found: set[tuple[str, str]] = set()
        for label in (f"{layout.LABEL_ENVIRONMENT}={plan.environment}", layout.LABEL_SERVER):
            with translated():
                images = api.images(quiet=True, all=True, filters={"label": label, "dangling": True})
                containers = api.containers(all=True, quiet=True, filters={"label": label})
            found |= {("image", image) for image in images} | {("container", one["Id"]) for one in containers}
        return found

    def _clean_up(self, plan: ImagePlan, before: set[tuple[str, str]]) -> None:
        from docker.errors import DockerException

        made = sorted(self._leftovers(plan) - before)
        for kind, identity in made:  # containers first: they keep their images
            # Another build of the same environment may use it, or the engine has removed it already.
            with contextlib.suppress(DockerException):
                if kind == "container":
                    self._client.api.remove_container(identity, force=True)
                else:
                    self._client.api.remove_image(identity)


@contextlib.contextmanager
def _archive(directory: Path, log: BuildLog) -> Iterator[IO[bytes]]:
    """Yield a directory as an archive, in a temporary file."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            write_entries(archive, tree_entries(directory, ""), log.raise_if_cancelled)
        file.seek(0)
        yield file


def _ended_replica(container: Container) -> bool:
    return LABEL_REPLICA in container.labels and container.status in ("exited", "dead")


class _Cancellable:
    """Lets another thread close the connection of a build, which makes the engine stop the build."""

    def __init__(self, client: docker.DockerClient, log: BuildLog) -> None:
        self._api = client.api
        self._log = log
        self._done = threading.Event()
        self._response: Any = None
        self._watcher = threading.Thread(target=self._watch, name="cancel-build", daemon=True)

    def __enter__(self) -> Any:
        self._api.hooks["response"].append(self._note)
        self._watcher.start()
        return self._api

    def __exit__(self, *_: object) -> None:
        self._api.hooks["response"].remove(self._note)
        self._done.set()
        self._watcher.join()
        if self._response is not None:
            self._response.close()

    def _note(self, response: Any, *_: object, **__: object) -> None:
        self._response = response

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            if self._log.cancel.is_set() and self._response is not None:
                # A shutdown ends the read that waits in the other thread. Closing would wait for that read.
                with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
                    self._response.raw.shutdown()
                return
