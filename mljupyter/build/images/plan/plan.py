"""The plan of an image: its content, decided before the build. Equal plans have equal digests."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mljupyter.build.environments.definition import (
    BuildContextDefinition,
    EnvironmentDefinition,
    files_of,
    fingerprint,
    redacted,
)
from mljupyter.build.environments.local_files import LocalFile
from mljupyter.build.environments.record import ChangeRecord
from mljupyter.build.environments.relaxation import Policy
from mljupyter.build.environments.requirements import Change
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.plan import layout
from mljupyter.build.images.plan.packages import PackageSet, package_set
from mljupyter.build.images.registry.credentials import RegistryCredentials
from mljupyter.build.images.registry.references import Reference
from mljupyter.spec import CodeReference, ModelReference
from mljupyter.spec.version import is_below

MOST_MODELS = 1000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARCHITECTURES = {"amd64": "amd64", "x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64"}
_CONTRACT_VARIABLES = ("AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT", "AZUREML_MODEL_DIR", "AZUREML_SOURCE_DIRECTORY")


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file or directory of the artifact store, at a path below the app root."""

    path: str
    digest: str


@dataclass(frozen=True)
class ImagePlan:
    """Everything an image is made of. Two plans with the same `digest` give the same image.

    Content is named by digest; the builder takes it from the artifact store. `environment` is the environment's
    fingerprint. With a `base_context` the base image is built from that first. With `own_image` nothing is built: that
    image is used as it is.
    """

    environment: str
    base_image: str | None
    base_dockerfile: str | None
    extra_steps: str | None
    packages: PackageSet
    code: CodeReference | None
    models: tuple[ModelReference, ...]
    files: tuple[PlannedFile, ...]
    variables: Mapping[str, str] = field(repr=False)
    platform: str
    server: str
    server_requirements: tuple[str, ...]
    own_image: str | None = None
    base_context: BuildContextDefinition | None = None
    credentials: tuple[RegistryCredentials, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """The digest of the image's whole content, without names, tags and credentials."""
        parts: dict[str, Any] = {
            "layout": layout.LAYOUT_VERSION,
            "environment": self.environment,
            "base": [self.base_image, self.base_dockerfile, self.extra_steps],
            "packages": self.packages.document(),
            "content": [[file.path, file.digest] for file in self.content()],
            "variables": dict(self.all_variables()),
            "platform": self.platform,
            "server": [self.server, *self.server_requirements],
            "own": self.own_image,
        }
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not appear in a log."""
        return tuple(secret for credentials in self.credentials for secret in credentials.secrets)

    def content(self) -> list[PlannedFile]:
        """Return the files below the app root: models first, since they change less often than code."""
        placed = [
            PlannedFile(f"{layout.MODELS}/{model.name}/{model.version}/{model.entry}", model.digest)
            for model in self.models
        ]
        if self.code is not None:
            placed.append(PlannedFile(self.code.source_directory or self.code.entry_script, self.code.digest))
        return sorted(placed, key=lambda file: (not file.path.startswith(f"{layout.MODELS}/"), file.path)) + sorted(
            self.files, key=lambda file: file.path
        )

    def all_variables(self) -> dict[str, str]:
        """Return the environment variables of the container: the environment's own, and those of the contract.

        ``SERVICE_NAME`` and similar ones are set when a container is started.
        """
        variables = dict(sorted(self.variables.items()))
        models = f"{layout.APP_ROOT}/{layout.MODELS}"
        if len(self.models) == 1:
            models += f"/{self.models[0].name}/{self.models[0].version}"
        variables |= {"AML_APP_ROOT": layout.APP_ROOT, "AZUREML_MODEL_DIR": models}
        if self.code is not None:
            variables["AZUREML_ENTRY_SCRIPT"] = self.code.entry_script
            if self.code.source_directory:
                variables["AZUREML_SOURCE_DIRECTORY"] = self.code.source_directory
        if own := variables.pop("PYTHONPATH", ""):
            variables[layout.WORKER_PYTHONPATH] = own
        variables["PYTHONPATH"] = layout.SERVER_CODE
        # The image's user database has no entry with the name and home of this user.
        defaults = {"HOME": "/tmp", "USER": "mljupyter", "PYTHONUNBUFFERED": "1"}  # noqa: S108 - writable for all
        return defaults | variables

    def labels(self) -> dict[str, str]:
        """Return the image's labels. Builders find an image by them."""
        labels = {
            layout.LABEL_PLAN: self.digest,
            layout.LABEL_ENVIRONMENT: self.environment,
            layout.LABEL_REPLICA_KEY: "1",
            layout.LABEL_MODELS: ",".join(model.id for model in self.models),
            "org.opencontainers.image.title": "mljupyter scoring image",
        }
        if self.packages.relaxations:
            labels[layout.LABEL_RELAXED] = relaxed_text(self.packages.relaxations)
        if self.base_image is not None:
            labels["org.opencontainers.image.base.name"] = self.base_image
        return labels

    def model_config_map(self) -> dict[str, Any]:
        """Return the content of ``model_config_map.json``: the paths of the models (Azure ML v1: Model.package)."""
        return {
            "accountContext": None,
            "models": {
                model.id: {"name": model.name, "version": model.version, "entry": model.entry} for model in self.models
            },
            "modelsDirectory": layout.MODELS,
        }


def plan_image(
    definition: EnvironmentDefinition,
    *,
    code: CodeReference | None,
    models: Sequence[ModelReference] = (),
    files: Sequence[PlannedFile] = (),
    packages: Sequence[str] | None = None,
    python_version: str | None = None,
    own_image: str | None = None,
    credentials: Sequence[RegistryCredentials] = (),
    default_base_image: str | None = None,
    environment_only: bool = False,
    pins: Policy | None = None,
    local_files: Sequence[LocalFile] | None = None,
) -> ImagePlan:
    """Return the plan of an image. The files of the package mljupyter are read, and those that packages are made of.

    Parameters:
        definition: the environment.
        code: the snapshot with the scoring script; None only with `own_image`.
        models: at most 1000.
        files: more files below the app root, such as files beside a script without source directory.
        packages: lines for pip that replace those of the definition, such as pins from a resolver.
        python_version: a version such as "3.11" that replaces the definition's.
        own_image: use this image as it is. It has everything, and nothing is built.
        credentials: credentials for registries to pull from. Those of the definition's base image are added.
        default_base_image: the base image for a definition without one, or with an image of Azure; by default the
            official Python image of the requested version.
        environment_only: build an image without scoring script, so that its layers are ready for later builds.
        pins: ``compatible`` relaxes pins that do not exist for the image's Python, ``strict`` fails; None for the
            policy of the definition, by default compatible.
        local_files: the files of this machine that the packages name; None for those that are there now.

    Raises:
        ImageError: for too many models, a path out of the app root, or an invalid name of a variable.

    """
    if own_image is None and code is None and not environment_only:
        raise ImageError("An image needs a scoring script. Give `code`, or `own_image` for a complete image.")
    if len(models) > MOST_MODELS:
        raise ImageError(f"{len(models):,} models are too many for an image. Rule: at most {MOST_MODELS:,}.")
    _check_places(code, models, files)
    pins = pins or definition.python.pins or "compatible"
    named = files_of(definition) if local_files is None else tuple(local_files)
    wanted = package_set(definition, packages, python_version, pins, named)
    docker = definition.docker
    environment = fingerprint(definition, named)
    base_image = _in_its_registry(definition)
    if docker.build_context is not None:
        base_image = layout.base_of_context(environment)
    if base_image is None and docker.base_dockerfile is None:
        version = wanted.python_version or layout.DEFAULT_PYTHON
        base_image = default_base_image or layout.DEFAULT_BASE_IMAGE.format(version=version)
    for reference in (base_image, own_image):
        if reference is not None:
            Reference.parse(reference)
    return ImagePlan(
        environment=environment,
        base_image=base_image if own_image is None else None,
        base_dockerfile=docker.base_dockerfile,
        extra_steps=docker.extra_dockerfile_steps,
        packages=wanted,
        code=code,
        models=tuple(models),
        files=tuple(files),
        variables=_checked_variables(definition.environment_variables),
        platform=_platform(definition),
        server=layout.server_digest(),
        server_requirements=layout.server_requirements(),
        own_image=own_image,
        base_context=docker.build_context if own_image is None else None,
        credentials=(*credentials, *_base_credentials(definition, base_image)),
        recipe={
            "definition": definition.document(),
            "code": code.document() if code else None,
            "models": [model.document() for model in models],
            "files": [[file.path, file.digest] for file in files],
            "packages": list(packages) if packages is not None else None,
            "pythonVersion": python_version,
            "ownImage": own_image,
            "defaultBaseImage": default_base_image,
            "environmentOnly": environment_only,
            "pins": pins,
            "localFiles": [[str(file.path), file.digest, file.is_constraints] for file in named],
        },
    )


def plan_of(recipe: Mapping[str, Any], credentials: Sequence[RegistryCredentials] = ()) -> ImagePlan:
    """Return the plan of an image from its recipe in the registry of images, in order to build the image again.

    The scoring server is the one installed here. With another release than at the first build, the digest differs.
    """
    code = recipe.get("code")
    return plan_image(
        EnvironmentDefinition.parse(recipe["definition"]),
        code=CodeReference.parse(code) if code else None,
        models=[ModelReference.parse(model) for model in recipe["models"]],
        files=[PlannedFile(path, digest) for path, digest in recipe["files"]],
        packages=recipe.get("packages"),
        python_version=recipe.get("pythonVersion"),
        own_image=recipe.get("ownImage"),
        credentials=credentials,
        default_base_image=recipe.get("defaultBaseImage"),
        environment_only=recipe.get("environmentOnly", False),
        pins=recipe.get("pins"),
        local_files=[LocalFile(Path(path), digest, kind) for path, digest, kind in recipe.get("localFiles", ())],
    )


def relaxed_text(changes: Sequence[Change]) -> str:
    """Return changes as JSON, the form in images and their records. Credentials in URLs are left out."""
    documents = [ChangeRecord.of(change).document() for change in changes]
    return json.dumps([{key: redacted(value) for key, value in one.items()} for one in documents])


def _check_places(code: CodeReference | None, models: Sequence[ModelReference], files: Sequence[PlannedFile]) -> None:
    places = [file.path for file in files]
    places += [f"{layout.MODELS}/{model.name}/{model.version}" for model in models]
    if code is not None:
        places.append(code.source_directory or code.entry_script)
    for place in places:
        if not is_below(place):
            raise ImageError(
                f"{place!r:.200} leads out of the app root. Rule: a relative path without '..' and control characters."
            )
    if taken := sorted({place for place in places if places.count(place) > 1}):
        raise ImageError(f"{', '.join(taken)}: several items would have the same path. Give each of them once.")


def _checked_variables(variables: Mapping[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise ImageError(f"Invalid environment variable name {name!r}. Use letters, digits and '_'.")
        if any(end in value for end in "\n\r\0"):
            raise ImageError(f"The environment variable {name} holds a line end, which an image cannot hold.")
    return {name: value for name, value in variables.items() if name not in _CONTRACT_VARIABLES}


def _platform(definition: EnvironmentDefinition) -> str:
    system, machine = definition.docker.platform.os.lower(), definition.docker.platform.architecture.lower()
    if system != "linux" or machine not in _ARCHITECTURES:
        raise ImageError(f"The platform {system}/{machine} is not supported. Rule: linux/amd64 or linux/arm64.")
    return f"linux/{_ARCHITECTURES[machine]}"


def _in_its_registry(definition: EnvironmentDefinition) -> str | None:
    """Return the base image, with the address of its registry as prefix if its name has none (Azure ML v1)."""
    base_image, address = definition.base_image, definition.docker.base_image_registry.address
    if base_image is None or not address or Reference.parse(base_image).registry is not None:
        return base_image
    return f"{RegistryCredentials.host_of(address)}/{base_image}"


def _base_credentials(definition: EnvironmentDefinition, base_image: str | None) -> list[RegistryCredentials]:
    registry = definition.docker.base_image_registry
    password = registry.password.get_secret_value() if registry.password else ""
    if not (registry.username or password):
        return []
    address = registry.address or (Reference.parse(base_image).host if base_image else "")
    return [RegistryCredentials(address, registry.username or "", password)]
