"""The secrets of a workspace: in the keyring of the user where there is one, else in a file for this user only."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.exceptions import UserErrorException
from mljupyter.files import write_whole
from mljupyter.outside import json_value
from mljupyter.registry.locking import locked_directory
from mljupyter.visible import shown_value
from mljupyter.workspace_folders import make_folder

if TYPE_CHECKING:
    from types import ModuleType

_LOCK_SECONDS = 30.0
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_LOG = logging.getLogger(__name__)


class Vault:
    """The secrets of one workspace, by name.

    The file ``keyvault.json`` has the names. It has the values, too, of those secrets that are not in a keyring.

    Parameters:
        directory: the directory of the workspace.
        workspace_id: the id of the workspace, which is part of the names in the keyring.

    """

    def __init__(self, directory: Path, workspace_id: str) -> None:
        self._folder = directory / "keyvault"
        self._service = f"mljupyter:{workspace_id}"

    def set(self, secrets: Mapping[str, str]) -> None:
        """Store secrets; present ones are replaced.

        Raises:
            UserErrorException: a name breaks the rule, or a value is no text. The text has no value.

        """
        for name, value in secrets.items():
            _check_name(name)
            if not isinstance(value, str):
                raise UserErrorException(
                    f"The value of the secret {name!r} is a {type(value).__name__}. Rule: a text, not empty."
                )
        with self._changing() as document:
            for name, value in secrets.items():
                document[name] = None if self._to_keyring(name, value) else value
        if any(value is not None for value in document.values()):
            _say_file(self._file)

    def get(self, names: Sequence[str]) -> dict[str, str | None]:
        """Return the values of secrets by name; None for one that does not exist.

        Raises:
            UserErrorException: the keyring does not answer.

        """
        document = self._read()
        return {name: self._value(name, document) for name in names}

    def names(self) -> list[str]:
        """Return the names of all secrets, in alphabetical order."""
        return sorted(self._read())

    def delete(self, names: Sequence[str]) -> None:
        """Remove secrets; those that do not exist are ignored."""
        with self._changing() as document:
            for name in names:
                if document.pop(name, "") is None and (keyring := _keyring()) is not None:
                    with contextlib.suppress(keyring.errors.KeyringError):
                        keyring.delete_password(self._service, name)

    @property
    def _file(self) -> Path:
        return self._folder / "keyvault.json"

    def _value(self, name: str, document: Mapping[str, str | None]) -> str | None:
        if name not in document or document[name] is not None:
            return document.get(name)
        keyring = _keyring()
        value: str | None = None
        try:
            value = keyring.get_password(self._service, name) if keyring is not None else None
        except Exception as error:  # noqa: BLE001 - each backend has errors of its own
            raise UserErrorException(
                f"The keyring does not give the secret {name!r}: {type(error).__name__}.\nUnlock it and try again."
            ) from None
        if value is None:
            raise UserErrorException(
                f"The secret {name!r} is in a keyring that does not have it here: another machine or user set it.\n"
                f"Set it again: keyvault.set_secret({name!r}, ...)"
            )
        return str(value)

    def _to_keyring(self, name: str, value: str) -> bool:
        """Store a value in the keyring; return False if there is none that takes it."""
        keyring = _keyring()
        if keyring is None:
            return False
        try:
            keyring.set_password(self._service, name, value)
        except keyring.errors.KeyringError as error:
            _LOG.warning("The keyring does not take the secret %r: %s", name, type(error).__name__)
            return False
        return True

    def _read(self) -> dict[str, str | None]:
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            document = json_value(text)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not all(isinstance(item, str | None) for item in document.values()):
            raise UserErrorException(f"{self._file} is damaged: delete it, and set the secrets again.")
        return document

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, str | None]]:
        import json

        make_folder(self._folder.parent, self._folder.name)
        with locked_directory(self._folder, exclusive=True, timeout=_LOCK_SECONDS):
            document = self._read()
            yield document
            write_whole(self._file, json.dumps(document, indent=1, sort_keys=True) + "\n")

    def __repr__(self) -> str:
        return f"Vault({str(self._folder)!r})"


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserErrorException(
            f"Invalid secret name {shown_value(name)}. Use 1 to 127 letters, digits and '-', such as 'db-password'."
        )


def _keyring() -> ModuleType | None:
    """Return the package `keyring` if it is installed and has a backend that stores secrets."""
    try:
        import keyring
        import keyring.backends.fail
        import keyring.backends.null
    except ImportError:
        return None
    backend = keyring.get_keyring()
    if isinstance(backend, (keyring.backends.fail.Keyring, keyring.backends.null.Keyring)) or backend.priority <= 0:
        return None
    return keyring


@cache
def _say_file(file: Path) -> None:
    print(
        "Keyvault: there is no keyring on this machine (one is used after pip install 'mljupyter[keyring]'). "
        f"Secrets are kept in {file}, which only you can read.",
        file=sys.stderr,
    )
