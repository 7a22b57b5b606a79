"""Replica layout: the app root, environment variables and server options that a replica is started with.

An app root has the source directory under its own name, and models under ``azureml-models/<name>/<version>/``.

Azure: inference configuration; scoring container.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path, PurePath
from typing import Protocol

from mljupyter.spec import VersionSpec

MODELS = "azureml-models"
_UNFINISHED = ".building-"


class ContentStore(Protocol):
    """A store of code and models, by digest."""

    def fetch(self, digest: str, target: Path) -> Path:
        """Write the content of a digest to a path; return the path."""
        ...


def prepare(store: ContentStore, spec: VersionSpec, target: Path) -> Path:
    """Create an app root atomically unless it exists, and return it.

    Parameters:
        store: the store of code and models.
        spec: the version.
        target: the directory of the app root.

    Raises:
        OSError: when content cannot be fetched, or there is no space.

    """
    if target.is_dir():
        return target
    building = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=target.parent))
    try:
        if spec.code is not None:
            store.fetch(spec.code.digest, building / (spec.code.source_directory or spec.code.entry_script))
        (building / MODELS).mkdir()
        for model in spec.models:
            place = building / MODELS / model.name / str(model.version)
            place.mkdir(parents=True)
            store.fetch(model.digest, place / model.entry)
        building.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another controller has created it
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def clear_unfinished(directory: Path) -> None:
    """Remove unfinished app roots of a killed process. No other process may prepare one at the same time."""
    for path in directory.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def model_directory(spec: VersionSpec, models: PurePath) -> PurePath:
    """Return the value of AZUREML_MODEL_DIR: the directory of the only model, or the parent directory of several."""
    if len(spec.models) != 1:
        return models
    return models / spec.models[0].name / str(spec.models[0].version)


def service_variables(
    spec: VersionSpec, *, service: str, version: str, workspace: str, collected: PurePath
) -> dict[str, str]:
    """Return the environment variables that name a replica's service, and switch request logs and collection on.

    Parameters:
        spec: the version.
        service, version, workspace: their names.
        collected: absolute path of the directory for collected data, as the replica sees it.

    """
    variables = {
        "SERVICE_NAME": service,
        "SERVICE_VERSION": version,
        "WORKSPACE_NAME": workspace,
        "SCORING_TIMEOUT_MS": str(spec.limits.scoring_timeout_ms),
    }
    if spec.collect_model_data:
        variables |= {"AML_MODEL_DC_STORAGE_ENABLED": "true", "AML_MODEL_DC_STORAGE": str(collected)}
    if spec.app_insights_enabled:
        variables["AML_APP_INSIGHTS_ENABLED"] = "true"
    policy = spec.scaling.autoscale
    if policy is not None and policy.min_replicas == 0:
        # Not an option, since servers in earlier images would refuse an unknown one.
        variables["MLJUPYTER_MAX_WAKE_WAIT_MS"] = str(policy.max_wake_wait_ms)
    return variables


def contract_variables(
    spec: VersionSpec, root: Path, *, service: str, version: str, workspace: str, collected: PurePath
) -> dict[str, str]:
    """Return the environment variables that a scoring script may read.

    Azure: scoring container.
    """
    variables = service_variables(spec, service=service, version=version, workspace=workspace, collected=collected) | {
        "AML_APP_ROOT": str(root),
        "AZUREML_MODEL_DIR": str(model_directory(spec, root / MODELS)),
    }
    if spec.code is not None:
        variables["AZUREML_ENTRY_SCRIPT"] = spec.code.entry_script
        if spec.code.source_directory:
            variables["AZUREML_SOURCE_DIRECTORY"] = spec.code.source_directory
    return variables


def thread_variables(spec: VersionSpec) -> dict[str, str]:
    """Return the environment variables that limit the threads of numeric libraries to the cores of the replica.

    Without them, each replica would use all cores of the machine, and replicas would slow each other down.
    """
    cores = max(1, math.ceil(spec.resources.cpu_limit or spec.resources.cpu))
    return dict.fromkeys(("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(cores))


def container_variables(
    spec: VersionSpec, *, service: str, version: str, workspace: str, collected: PurePath
) -> dict[str, str]:
    """Return the environment variables of a replica in a container. The image sets those that name its files."""
    contract = service_variables(spec, service=service, version=version, workspace=workspace, collected=collected)
    return {**thread_variables(spec), **spec.environment_variables, **contract}


def server_options(spec: VersionSpec, replica_id: str) -> list[str]:
    """Return the options of the scoring server that do not depend on the runtime."""
    options: dict[str, object] = {
        "--replica": replica_id,
        "--concurrency": spec.limits.max_concurrent_requests,
        "--max-queue-wait-ms": spec.limits.max_queue_wait_ms,
        "--max-queue-length": spec.limits.max_queue_length,
        "--scoring-timeout-ms": spec.limits.scoring_timeout_ms,
        "--startup-timeout": spec.probe.initial_delay_seconds,
        "--max-body-bytes": spec.limits.max_body_bytes,
        "--grace-seconds": grace_seconds(spec),
    }
    switches = [] if spec.batching is None else ["--batching" if spec.batching else "--no-batching"]
    switches += ["--preload"] if spec.preload else []
    switches += ["--no-code", spec.no_code] if spec.no_code is not None else []
    return [str(part) for option in options.items() for part in option] + switches


def grace_seconds(spec: VersionSpec) -> float:
    """Return the seconds that a replica may take to finish: its longest request, and five more."""
    return spec.limits.scoring_timeout_ms / 1000 + 5
