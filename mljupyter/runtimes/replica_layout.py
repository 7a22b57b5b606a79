"""Lay out what a replica finds on disk: its app root, as the scoring container's contract has it.

The source directory stands under its own name, models under ``azureml-models/<name>/<version>/`` (Azure ML v1:
inference configuration; scoring container).
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
        """Place content at a path."""
        ...


def prepare(store: ContentStore, spec: VersionSpec, target: Path) -> Path:
    """Lay out an app root, or return the one that is there. It appears whole or not at all.

    Parameters:
        store: the artifact store.
        spec: the version; its code and models are laid out.
        target: the directory to make.

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
        if not target.is_dir():  # else another one was faster
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def clear_unfinished(directory: Path) -> None:
    """Remove what a process that was killed in `prepare` has left; for when no other one prepares anything there."""
    for path in directory.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def model_directory(spec: VersionSpec, models: PurePath) -> PurePath:
    """Return what AZUREML_MODEL_DIR names: the directory of the only model, or that of all of them."""
    if len(spec.models) != 1:
        return models
    return models / spec.models[0].name / str(spec.models[0].version)


def service_variables(
    spec: VersionSpec, *, service: str, version: str, workspace: str, collected: PurePath
) -> dict[str, str]:
    """Return the environment variables that say which service a replica belongs to, and what it records and collects.

    Parameters:
        spec: the version.
        service, version, workspace: their names.
        collected: absolute path of the directory for what scripts collect, as the replica sees it.

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
        # A variable and no option: servers in images that were built before would refuse that.
        variables["MLJUPYTER_MAX_WAKE_WAIT_MS"] = str(policy.max_wake_wait_ms)
    return variables


def contract_variables(
    spec: VersionSpec, root: Path, *, service: str, version: str, workspace: str, collected: PurePath
) -> dict[str, str]:
    """Return the environment variables a scoring script may read (Azure ML v1: scoring container)."""
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
    """Return how many threads numeric libraries may use: as many as the replica was given cores.

    They would otherwise take all cores for each replica, and replicas would stand in each other's way.
    """
    cores = max(1, math.ceil(spec.resources.cpu_limit or spec.resources.cpu))
    return dict.fromkeys(("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(cores))


def server_options(spec: VersionSpec, replica_id: str) -> list[str]:
    """Return the scoring server's options that are the same wherever it runs."""
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
    """Return how long a replica may take to finish: its longest request, and a little more."""
    return spec.limits.scoring_timeout_ms / 1000 + 5
