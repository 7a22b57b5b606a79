"""Build images without a Docker engine: layers of the base image and our own, put together in a registry."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from mljupyter.build.environments.interpreters import Python
from mljupyter.build.environments.pip_lines import pip_line
from mljupyter.build.environments.resolver import Resolver, SourceBuilds, secret_values, uv_for
from mljupyter.build.environments.uv import Uv, uv_platform
from mljupyter.build.images.builder import BuiltImage, InstalledPackage, built
from mljupyter.build.images.errors import ImageError, RegistryError, RegistryNotFoundError
from mljupyter.build.images.events import BuildLog, OnEvent
from mljupyter.build.images.oci.layers import LayerEntry, tree_entries, write_layer
from mljupyter.build.images.oci.manifest import image_config, image_manifest
from mljupyter.build.images.oci.python_layers import (
    environment_entries,
    install_wheels,
    installed_packages,
    wrapper_entries,
)
from mljupyter.build.images.plan import layout
from mljupyter.build.images.plan.context import Store, interpreter_script
from mljupyter.build.images.plan.package_sources import as_wheels, placed
from mljupyter.build.images.plan.packages import OLDEST_PYTHON, PackageSet
from mljupyter.build.images.plan.pins import with_pins_that_exist
from mljupyter.build.images.plan.plan import ImagePlan, PlannedFile
from mljupyter.build.images.registry.base_image import (
    BaseImage,
    cache_directory,
    choose_python,
    interpreters,
    read_base_image,
    read_note,
    write_note,
)
from mljupyter.build.images.registry.credentials import RegistryCredentials, find_credentials
from mljupyter.build.images.registry.descriptors import OCI_MANIFEST, Descriptor, checked_digest, image_parts, is_index
from mljupyter.build.images.registry.references import Reference
from mljupyter.build.images.registry.registry_client import RegistryClient

_NOTE_FORMAT = 1
_NO_BUILDS = SourceBuilds("without a Docker engine", "daemonless", lambda line: False)


@dataclass(frozen=True)
class _Pushed:
    """One of our layers that is in the registry."""

    digest: str
    size: int
    diff_id: str
    created_by: str
    packages: tuple[InstalledPackage, ...] = ()


class DaemonlessBuilder:
    """Builds into one registry, with nothing but HTTP and uv.

    Parameters:
        registry: the registry that images are pushed to, such as ``registry.example.com:5000``.
        store: the artifact store with models and code.
        credentials: credentials for this registry and those to pull from. Those of ``docker login`` are used as well.
        cache: the directory with notes about layers built before; None for the user's cache directory.

    """

    def __init__(
        self,
        registry: str,
        store: Store,
        credentials: tuple[RegistryCredentials, ...] = (),
        *,
        cache: Path | None = None,
    ) -> None:
        self.registry = registry
        self._store = store
        self._credentials = credentials
        self._cache = cache or cache_directory()

    @property
    def place(self) -> str:
        """The place of its images."""
        return f"registry/{self.registry}"

    def unavailable(self, plan: ImagePlan) -> str | None:
        """Return the reason why this plan cannot be built without an engine, None when it can."""
        if plan.base_dockerfile is not None or plan.base_context is not None or plan.extra_steps:
            return "steps of a Dockerfile have to be run, which takes an engine"
        if plan.packages.kind == "conda":
            return "packages of conda have to be installed, which takes an engine"
        options = [option for line in plan.packages.options for option in pip_line(line).options]
        if any(name == "--no-binary" and value != ":none:" for name, value in options):
            return "packages have to be built in it (--no-binary), which takes an engine"
        return None

    def find(self, plan: ImagePlan) -> BuiltImage | None:
        """Return None: a container registry cannot be searched by label. The registry of images has its own record."""
        return None

    def build(
        self,
        plan: ImagePlan,
        *,
        tag: str,
        on_event: OnEvent | None = None,
        cancel: threading.Event | None = None,
    ) -> BuiltImage:
        """Assemble the image and push it as `tag`; see `Builder.build`."""
        credentials = (*plan.credentials, *self._credentials)
        log = BuildLog(on_event, [s for one in credentials for s in one.secrets], cancel)
        log.hide(secret_values(plan.packages.lines()))
        return built(log, lambda log: self._build(plan, Reference.parse(tag), credentials, log))

    def remove(self, reference: str) -> None:
        """Remove a tag's manifest from the registry. Do nothing when it does not exist."""
        parsed = Reference.parse(reference)
        with self._client(parsed, self._credentials) as client:
            try:
                client.delete_manifest(client.manifest(parsed.version).digest)
            except RegistryNotFoundError:
                return

    def _client(self, reference: Reference, known: tuple[RegistryCredentials, ...]) -> RegistryClient:
        return RegistryClient(reference.host, reference.path, find_credentials(reference.host, known))

    def _build(
        self, plan: ImagePlan, tag: Reference, credentials: tuple[RegistryCredentials, ...], log: BuildLog
    ) -> BuiltImage:
        if reason := self.unavailable(plan):
            raise ImageError(f"This image cannot be built without a Docker engine: {reason}.")
        if tag.registry != self.registry:
            raise ImageError(f"{tag} is not in the registry {self.registry}, which images are built for here.")
        if plan.own_image is not None:
            return self._take(Reference.parse(plan.own_image), credentials, log)
        source = Reference.parse(str(plan.base_image))
        with (
            tempfile.TemporaryDirectory(prefix="mljupyter-image-") as temporary,
            self._client(source, credentials) as pull,
            self._client(tag, credentials) as push,
        ):
            work = _Work(plan, self._store, Path(temporary), self._cache, push, log)
            with log.stage("base image"):
                log.line(f"reading {source}")
                base = read_base_image(pull, source.version, plan.platform)
                found = interpreters(pull, base, self._cache, log.raise_if_cancelled)
                work.use(base, choose_python(found, plan.packages.python_version, OLDEST_PYTHON), musl=found.musl)
            with log.stage("server"):
                layers = [work.server()]
            with log.stage("environment"):
                plan = work.relax()
                layers.append(work.environment())
            with log.stage("content"):
                layers += work.content()
            with log.stage("push"):
                self._copy_base(base, source, pull, tag, push, log)
                config = image_config(base.config, plan, [(layer.diff_id, layer.created_by) for layer in layers])
                digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
                if not push.has_blob(digest):
                    push.push_blob(digest, len(config), lambda: iter([config]))
                manifest = image_manifest(base.layers, digest, len(config), [(la.digest, la.size) for la in layers])
                log.raise_if_cancelled()
                # The manifest is pushed last, so that an incomplete image never appears.
                pushed = push.put_manifest(tag.version, manifest, OCI_MANIFEST)
                log.line(f"pushed {tag} with digest {pushed}")
        packages = tuple(package for layer in layers for package in layer.packages)
        digests = tuple(layer.digest for layer in base.layers) + tuple(layer.digest for layer in layers)
        relaxed = plan.labels().get(layout.LABEL_RELAXED)
        return BuiltImage(str(tag), pushed, digests, packages, log, relaxed)

    def _take(self, own: Reference, credentials: tuple[RegistryCredentials, ...], log: BuildLog) -> BuiltImage:
        with log.stage("image"), self._client(own, credentials) as client:
            manifest = client.manifest(own.version)
            log.line(f"{own} has digest {manifest.digest}")
            document = manifest.json()
            is_list = is_index(manifest.media_type, document)
            layers = () if is_list else tuple(layer.digest for layer in image_parts(document).layers)
            return BuiltImage(str(own), manifest.digest, layers, (), log)

    def _copy_base(
        self,
        base: BaseImage,
        source: Reference,
        pull: RegistryClient,
        tag: Reference,
        push: RegistryClient,
        log: BuildLog,
    ) -> None:
        for layer in base.layers:
            log.raise_if_cancelled()
            digest = layer.digest
            if push.has_blob(digest) or (source.host == tag.host and push.mount_blob(digest, source.path)):
                continue
            log.line(f"copying the base image's layer {digest} ({layer.size:,} bytes)")
            push.push_blob(digest, layer.size, functools.partial(_watched, pull, layer, log))


class _Work:
    """The layers of one image."""

    def __init__(
        self, plan: ImagePlan, store: Store, directory: Path, cache: Path, push: RegistryClient, log: BuildLog
    ) -> None:
        self._plan = plan
        self._store = store
        self._directory = directory
        self._cache = cache
        self._push = push
        self._log = log
        self._python, self._minor, self._platform = "", 0, ""

    def use(self, base: BaseImage, python: tuple[str, int], *, musl: bool) -> None:
        """Set the Python of the image."""
        self._python, self._minor = python
        self._platform = uv_platform(base.architecture, musl=musl)
        self._log.line(f"the base image has {self._python} for {self._platform}")

    def server(self) -> _Pushed:
        """Build the layer of the scoring server's own environment."""
        packages = PackageSet("pip", requirements=self._plan.server_requirements)
        return self._installed(packages, layout.SERVER_ENVIRONMENT, "server")

    def relax(self) -> ImagePlan:
        """Relax pins that do not exist for the image's Python. Return the plan with the installed versions."""
        self._plan = with_pins_that_exist(
            self._plan,
            minor=self._minor,
            platform=self._platform,
            sources=_NO_BUILDS,
            scratch=self._directory / "pins",
            cache=self._cache,
            log=self._log,
        )
        return self._plan

    def environment(self) -> _Pushed:
        """Build the layer of the scoring script's environment."""
        packages = self._plan.packages
        if packages.kind == "own":
            entries = wrapper_entries(interpreter_script(packages.interpreter), layout.ENVIRONMENT)
            return self._layer(entries, f"the base image's {packages.interpreter}", ["own", packages.interpreter])
        return self._installed(packages, layout.ENVIRONMENT, "environment")

    def content(self) -> list[_Pushed]:
        """Build the layers of the server's code, the models, and the user's code."""
        server = [LayerEntry(f"{layout.SERVER_CODE}/{name}", path) for name, path in layout.server_files().items()]
        server.append(LayerEntry(layout.WORKING_DIRECTORY))
        pushed = [self._layer(server, "the scoring server", ["code", self._plan.server])]
        files = self._plan.content()
        models = [file for file in files if file.path.startswith(f"{layout.MODELS}/")]
        code = [file for file in files if file not in models]
        if models:
            pushed.append(self._placed(models, "the models", owner=0))
        pushed.append(self._placed(code, "the scoring script", owner=layout.USER))
        return pushed

    def _placed(self, files: list[PlannedFile], created_by: str, owner: int) -> _Pushed:
        def entries() -> Iterable[LayerEntry]:
            # The user owns the app root, whichever layer contains it.
            yield LayerEntry(layout.APP_ROOT, owner=layout.USER)
            for number, file in enumerate(files):
                self._log.raise_if_cancelled()
                place = self._directory / f"{created_by.replace(' ', '-')}-{number}" / "content"
                self._store.fetch(file.digest, place)
                target = f"{layout.APP_ROOT}/{file.path}"
                if place.is_dir():
                    yield from tree_entries(place, target, owner=owner)
                else:
                    yield LayerEntry(target, place, executable=bool(place.stat().st_mode & 0o100), owner=owner)

        return self._layer(entries(), created_by, [created_by, owner, *([f.path, f.digest] for f in files)])

    def _installed(self, packages: PackageSet, prefix: str, part: str) -> _Pushed:
        target = self._directory / f"packages-{part}"
        lines = packages.lines()

        def entries() -> Iterable[LayerEntry]:
            if lines:
                self._install(packages, target)
            yield from environment_entries(target, prefix, self._python, self._minor)

        text = "".join(f"{line}\n" for line in lines)
        files = [[str(file.path), file.digest] for file in packages.files]
        key = [part, text, prefix, self._python, self._minor, self._platform, *([files] if files else [])]
        return self._layer(entries(), f"the {part}'s packages", key, lambda: tuple(installed_packages(target, part)))

    def _install(self, packages: PackageSet, target: Path) -> None:
        scratch = self._directory / f"{target.name}-requirements"
        scratch.mkdir(mode=0o700)
        sources = scratch / "sources"
        found = placed(packages, self._store, sources, str(sources), self._log)
        options = [line for line in found.lines if pip_line(line).options]
        uv = uv_for(Uv(self._directory, self._log.line, self._log.cancel), found.lines)
        wheels = as_wheels(found.lines, scratch, uv, sys.executable)
        requirements = [line for line in wheels if not pip_line(line).options]
        python = Python(sys.executable, Version(f"3.{self._minor}"))
        resolver = Resolver(uv, python, options, scratch, platform=self._platform)
        install_wheels(
            resolver.uv,
            resolver.write("requirements.txt", requirements),
            target,
            minor=self._minor,
            platform=self._platform,
            python=sys.executable,
            arguments=[*resolver.arguments, *resolver.hash_arguments(requirements)],
        )

    def _layer(
        self,
        entries: Iterable[LayerEntry],
        created_by: str,
        key: list[Any],
        packages: Callable[[], tuple[InstalledPackage, ...]] = lambda: (),
    ) -> _Pushed:
        """Build and push a layer, unless the registry has one built from the same input."""
        digest = hashlib.sha256(json.dumps([_NOTE_FORMAT, layout.LAYOUT_VERSION, *key]).encode()).hexdigest()
        note = self._cache / f"layer-{digest}.json"
        known = _known(read_note(note))
        if known is not None and self._push.has_blob(known.digest):
            self._log.line(f"{created_by}: as built before, {known.digest}")
            return known
        file = self._directory / f"layer-{digest}.tar.gz"
        made = write_layer(entries, file, f"mljupyter: {created_by}", self._log.raise_if_cancelled)
        pushed = _Pushed(made.digest, made.size, made.diff_id, made.created_by, packages())
        if not self._push.has_blob(made.digest):
            self._log.line(f"{created_by}: pushing {made.digest} ({made.size:,} bytes)")
            self._push.push_file(made.digest, file, self._log.raise_if_cancelled)
        file.unlink()
        write_note(note, asdict(pushed))
        return pushed


def _known(note: dict[str, Any] | None) -> _Pushed | None:
    if note is None:
        return None
    try:
        packages = tuple(InstalledPackage(**package) for package in note.pop("packages"))
        known = _Pushed(**note, packages=packages)
        checked_digest(known.digest), checked_digest(known.diff_id)
        return known
    except (KeyError, TypeError, RegistryError):
        return None


def _watched(client: RegistryClient, layer: Descriptor, log: BuildLog) -> Iterator[bytes]:
    for chunk in client.blob(layer.digest, layer.size):
        log.raise_if_cancelled()
        yield chunk
