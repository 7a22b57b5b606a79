"""The registry of a workspace: database, artifact store, models, environments and images in one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from mljupyter.registry import storage
from mljupyter.registry.artifacts.store import ArtifactStore, Swept
from mljupyter.registry.catalog.changes import ChangeLog
from mljupyter.registry.catalog.contents import ContentReferences
from mljupyter.registry.catalog.database import open_database
from mljupyter.registry.catalog.environments import EnvironmentRegistry
from mljupyter.registry.catalog.images import ImageRegistry
from mljupyter.registry.catalog.models import ModelRegistry

MIGRATIONS = Path(__file__).parent / "catalog" / "migrations"


class Registry:
    """The registry of a workspace. Use it in a ``with`` statement or close it.

    >>> with Registry.open(Path("workspace")) as registry:
    ...     registry.models.register("diabetes-ridge", "model.pkl")
    """

    def __init__(self, engine: Engine, artifacts: ArtifactStore) -> None:
        self._engine = engine
        self.artifacts = artifacts
        self.models = ModelRegistry(engine, artifacts)
        self.environments = EnvironmentRegistry(engine)
        self.images = ImageRegistry(engine)
        self.changes = ChangeLog(engine)
        self.contents = ContentReferences(engine)

    @classmethod
    def open(cls, directory: Path, *, database_url: str | None = None, artifacts_url: str | None = None) -> Registry:
        """Open the registry of the workspace in `directory`. Missing directories are created with mode 0700.

        The URLs are those of ``storage.json`` if they are not given. By default the database is ``workspace.db`` and
        the artifact store ``artifacts/`` in the directory. A team uses the URLs of a PostgreSQL database and of an
        object store. Raises the errors of `open_database` and
        `ArtifactStore`.
        """
        directory = directory.absolute()
        found = storage.read(directory)
        database_url, artifacts_url = database_url or found.database_url, artifacts_url or found.artifacts_url
        url = database_url or URL.create("sqlite", database=str(directory / storage.DATABASE_NAME))
        # The database first: it creates the directory, and with a damaged database nothing else is changed.
        engine = open_database(url, MIGRATIONS)
        try:
            return cls(engine, ArtifactStore(artifacts_url or directory / storage.ARTIFACTS_NAME))
        except BaseException:
            engine.dispose()
            raise

    @property
    def is_shared(self) -> bool:
        """Whether other workspaces may use the same database."""
        return self._engine.dialect.name != "sqlite"

    @property
    def engine(self) -> Engine:
        """The database, for packages that keep tables of their own in it."""
        return self._engine

    def collect_garbage(self, referenced: Callable[[], Iterable[str]] = tuple) -> int:
        """Remove content that no registered item needs and `referenced` does not name. Return the number of blobs.

        `referenced` must return the digests of everything else in use, such as the snapshots of endpoints' source
        directories. It is called while no writer is active.
        """
        return self.sweep(referenced).blobs

    def sweep(
        self, referenced: Callable[[], Iterable[str]] = tuple, *, keep_seconds: float = 0.0, dry_run: bool = False
    ) -> Swept:
        """Collect garbage with the options of `ArtifactStore.sweep`: keep young content, or only report."""
        return self.artifacts.sweep(
            lambda: {
                *self.models.digests(),
                *self.environments.digests(),
                *self.images.digests(),
                *referenced(),
                *self.contents.digests(),  # last: what this workspace needs may have been renewed just now
            },
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
