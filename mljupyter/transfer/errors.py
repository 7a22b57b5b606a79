"""The errors of archives, backups and migrations."""

from __future__ import annotations

from mljupyter.errors import MLJupyterError


class ArchiveError(MLJupyterError):
    """An archive cannot be written, or must not be read. The text names the archive and the reason."""


class ImportConflictError(ArchiveError):
    """The workspace has other items under the ids of an archive. Nothing was imported."""


class PassphraseError(ArchiveError):
    """An archive or its secrets cannot be decrypted, or a passphrase is missing or too short."""


class MigrationError(MLJupyterError):
    """A workspace cannot be moved to another database or artifact store. It is as it was."""


class TransferCancelledError(MLJupyterError):
    """A transfer was cancelled. Nothing was changed."""
