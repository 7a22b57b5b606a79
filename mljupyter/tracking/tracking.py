"""The tracking of a workspace: experiments, runs, datastores and datasets in one object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.registry.catalog.upgrade import bring_up_to_date
from mljupyter.tracking import mlflow_mirror
from mljupyter.tracking.datasets import Datasets
from mljupyter.tracking.datastores import Datastores
from mljupyter.tracking.experiments import Experiments
from mljupyter.tracking.runs import Runs

if TYPE_CHECKING:
    from mljupyter.registry import Registry

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "tracking_version"


class Tracking:
    """The tracking of a workspace, in the database and the artifact store of its registry.

    Parameters:
        registry: the open registry of the workspace; it is closed by its owner.
        directory: the directory of the workspace, for a store of MLflow in it; None for no such store.

    Raises:
        DatabaseError: a newer release wrote the tables.

    """

    def __init__(self, registry: Registry, directory: Path | None = None) -> None:
        bring_up_to_date(registry.engine, MIGRATIONS, VERSION_TABLE)
        self.experiments = Experiments(registry.engine)
        self.runs = Runs(registry.engine, registry.artifacts, mlflow_mirror.configured(directory))
        self.datastores = Datastores(registry.engine, registry.artifacts)
        self.datasets = Datasets(registry.engine)
        self.artifacts = registry.artifacts

    def digests(self) -> set[str]:
        """Return the digests of all content in use, which the garbage collector must keep."""
        return self.runs.digests() | self.datastores.digests()
