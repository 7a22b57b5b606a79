"""Storage of a workspace: the places of its database and its artifact store, in the file ``storage.json``.

Without the file, both are in the directory of the workspace. The file holds no passwords.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mljupyter.files import write_whole
from mljupyter.outside import json_value
from mljupyter.registry.errors import DatabaseError

FILE_NAME = "storage.json"
DATABASE_NAME = "workspace.db"
ARTIFACTS_NAME = "artifacts"


@dataclass(frozen=True)
class Storage:
    """The URLs of database and artifact store; None for those in the workspace's directory."""

    database_url: str | None = None
    artifacts_url: str | None = None

    @property
    def is_shared(self) -> bool:
        """Whether other workspaces may use the same database."""
        return self.database_url is not None


def read(directory: Path) -> Storage:
    """Return the storage of the workspace in a directory.

    Raises:
        DatabaseError: the file cannot be read.

    """
    path = directory / FILE_NAME
    try:
        document = json_value(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Storage()
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    urls = [document.get(key) for key in ("databaseUrl", "artifactsUrl")] if isinstance(document, dict) else [0]
    if not all(url is None or isinstance(url, str) for url in urls):
        raise _unreadable(path, "it is no object with the texts databaseUrl and artifactsUrl")
    return Storage(*urls)


def write(directory: Path, storage: Storage) -> None:
    """Write the storage of the workspace in a directory, atomically.

    Raises:
        DatabaseError: a URL holds a password, or a database is shared whose content is not.

    """
    check(storage)
    document = {"databaseUrl": storage.database_url, "artifactsUrl": storage.artifacts_url}
    text = json.dumps({key: url for key, url in document.items() if url is not None}, indent=2) + "\n"
    write_whole(directory / FILE_NAME, text, durable=True)


def check(storage: Storage) -> None:
    """Raise `DatabaseError` for URLs that must not be written; see `write`."""
    for what, url in (("database", storage.database_url), ("artifact store", storage.artifacts_url)):
        if url is not None and has_password(url):
            raise DatabaseError(
                f"The URL of the {what} holds a password, which would be kept in the workspace.\n"
                "Leave it out. PostgreSQL reads it from ~/.pgpass (mode 0600) or PGPASSWORD, and the clients of object "
                "stores read theirs from their own variables and files (docs/team.md)."
            )
    if storage.database_url is not None and not storage.database_url.startswith("postgresql"):
        raise DatabaseError(
            f"{storage.database_url.partition('://')[0]!r} databases are not shared. "
            "Use postgresql://USER@HOST/NAME, or leave the URL out for a file of the workspace."
        )
    if storage.database_url is not None and storage.artifacts_url is None:
        raise DatabaseError(
            "A shared database needs a shared artifact store: others could not get the files of your models.\n"
            "Give its URL too, such as s3://bucket/team, abfs://container/team or gs://bucket/team."
        )


def has_password(url: str) -> bool:
    """Return whether a URL names a user with a password, or has one among its parameters.

    >>> has_password("postgresql://anna:secret@db/team"), has_password("postgresql://anna@db/team")
    (True, False)
    """
    from urllib.parse import parse_qsl, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    names = {name.lower() for name, _ in parse_qsl(parts.query)}
    return ":" in parts.netloc.rpartition("@")[0] or bool(names & {"password", "sig", "secret", "sslpassword"})


def _unreadable(path: Path, reason: str) -> DatabaseError:
    return DatabaseError(
        f"{path} cannot be read: {reason}.\n"
        'It is an object such as {"databaseUrl": "postgresql://anna@db/team", "artifactsUrl": "s3://bucket/team"}.'
    )
