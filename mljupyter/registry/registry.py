"""The registry of a workspace, opened as a whole: database, artifact store, models, environments, images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from mljupyter.registry.artifacts.store import ArtifactStore, Swept
from mljupyter.registry.catalog.database import open_database
from mljupyter.registry.catalog.environments import EnvironmentRegistry
from mljupyter.registry.catalog.images import ImageRegistry
from mljupyter.registry.catalog.models import ModelRegistry

MIGRATIONS = Path(__file__).parent / "catalog" / "migrations"


class Registry:
    """The registry of a workspace; use it in a ``with`` statement or close it.

    >>> with Registry.open(Path("workspace")) as registry:
    ...     registry.models.register("diabetes-ridge", "model.pkl")
    """

    def __init__(self, engine: Engine, artifacts: ArtifactStore) -> None:
        self._engine = engine
        self.artifacts = artifacts
        self.models = ModelRegistry(engine, artifacts)
        self.environments = EnvironmentRegistry(engine)
        self.images = ImageRegistry(engine)

    @classmethod
    def open(cls, directory: Path, *, database_url: str | None = None, artifacts_url: str | None = None) -> Registry:
        """Open the registry of the workspace in `directory`, and create what is absent (0700).

        By default the database is ``workspace.db`` and the artifact store ``artifacts/`` in the directory; a team
        gives the URL of a PostgreSQL database and of an object store. Raises as `open_database` and `ArtifactStore` do.
        """
        directory = directory.absolute()
        url = database_url or URL.create("sqlite", database=str(directory / "workspace.db"))
        # The database first: it makes the directory, and a damaged one is left untouched.
        engine = open_database(url, MIGRATIONS)
        try:
            return cls(engine, ArtifactStore(artifacts_url or directory / "artifacts"))
        except BaseException:
            engine.dispose()
            raise

    def collect_garbage(self, referenced: Callable[[], Iterable[str]] = tuple) -> int:
        """Remove content that nothing registered needs and `referenced` does not name; return the number of blobs.

        `referenced` must give the digests of everything else in use, such as the snapshots of endpoints' source
        directories. It is called while nobody stores anything.
        """
        return self.sweep(referenced).blobs

    def sweep(
        self, referenced: Callable[[], Iterable[str]] = tuple, *, keep_seconds: float = 0.0, dry_run: bool = False
    ) -> Swept:
        """Do what `collect_garbage` does, as `ArtifactStore.sweep`: keep what is young, or remove nothing at all."""
        return self.artifacts.sweep(
            lambda: self.models.digests() | self.environments.digests() | self.images.digests() | set(referenced()),
            keep_seconds=keep_seconds,
            dry_run=dry_run,
        )

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
