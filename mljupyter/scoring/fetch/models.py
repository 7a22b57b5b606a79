"""The models to fetch, and the files that they consist of.

In the registry, a model is an OCI artifact. Its tag is the digest of its content without ``sha256:``. A model that is
one file has one blob, which has that digest. A directory has its list of files as the configuration, which has that
digest, and each file as a blob. So everything is checked against the digest in the version's spec.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mljupyter.scoring.fetch.contract import DIRECTORY_TYPE
from mljupyter.scoring.fetch.errors import FetchError
from mljupyter.scoring.fetch.registry import Registry

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Wanted:
    """A model to fetch: its name, version, digest, and the name of its file or directory."""

    name: str
    version: int
    digest: str
    entry: str

    @property
    def id(self) -> str:
        """The model's id, ``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def place(self) -> str:
        """Its path below the directory of all models."""
        return f"{self.name}/{self.version}/{self.entry}"


@dataclass(frozen=True)
class ModelFile:
    """A file of a model; with a `digest` of None, an empty directory. `path` is below the directory of all models."""

    model: str
    path: str
    digest: str | None
    size: int
    executable: bool = False


def wanted_models(text: str) -> tuple[str, str, list[Wanted]]:
    """Return registry, repository and models of the document that the operator writes.

    Raises:
        FetchError: it has another form.

    """
    try:
        document = json.loads(text)
        models = [
            Wanted(_name(one["name"]), int(one["version"]), _digest(one["digest"]), _name(one["entry"]))
            for one in document["models"]
        ]
        return str(document["registry"]), str(document["repository"]), models
    except (ValueError, LookupError, TypeError) as error:
        raise FetchError(f"the list of models cannot be read: {error}. Attach the cluster again.") from None


def files_of(model: Wanted, registry: Registry, again: Callable[[Callable[[], Any]], Any]) -> list[ModelFile]:
    """Return the files of a model, as the registry describes it.

    Parameters:
        model: the model.
        registry: the registry.
        again: calls a function, and calls it again while the registry does not answer.

    Raises:
        FetchError: the registry has no such model, refuses it, or has something else in its place.

    """
    manifest = again(lambda: registry.manifest(model.digest.removeprefix("sha256:"), f"model {model.id}"))
    config, layers = manifest.get("config"), manifest.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list):
        raise _different(model, "it is not the description of a model")
    if config.get("mediaType") != DIRECTORY_TYPE:
        layer = layers[0] if len(layers) == 1 and isinstance(layers[0], dict) else {}
        if layer.get("digest") != model.digest:
            raise _different(model, f"the registry has {str(layer.get('digest'))[:19]} in its place")
        return [ModelFile(model.id, model.place, model.digest, _size(model, layer.get("size")))]
    content = again(lambda: registry.document(model.digest, f"model {model.id}"))
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != model.digest:
        raise _different(model, "its list of files is damaged")
    try:
        return [
            ModelFile(
                model.id,
                f"{model.place}/{_below(item['path'])}",
                None if item["digest"] is None else _digest(item["digest"]),
                _size(model, item["size"]),
                bool(item["executable"]),
            )
            for item in json.loads(content)
        ]
    except (ValueError, LookupError, TypeError) as error:
        raise _different(model, f"its list of files cannot be used: {error}") from None


def different(model: str) -> FetchError:
    """Return the error for a file that differs from its digest."""
    return FetchError(
        f"a file of model {model} differs from its digest: the registry or the way to it has damaged it. "
        "Delete the model's artifact in the registry and deploy again, which uploads it."
    )


def _different(model: Wanted, how: str) -> FetchError:
    return FetchError(
        f"model {model.id} differs from its digest {model.digest[:19]}: {how}. "
        "Delete the model's artifact in the registry and deploy again, which uploads it."
    )


def _size(model: Wanted, size: object) -> int:
    if type(size) is not int or size < 0:
        raise _different(model, "a size is missing")
    return size


def _digest(text: object) -> str:
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise ValueError(f"{text!r:.100} is not a digest")
    return text


def _name(text: object) -> str:
    if not isinstance(text, str) or "/" in text or "\0" in text or text in ("", ".", ".."):
        raise ValueError(f"{text!r:.100} is not the name of a file")
    return text


def _below(path: object) -> str:
    if not isinstance(path, str) or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r:.100} leads out of the directory")
    return path
