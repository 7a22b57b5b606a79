"""Keyvault: the secrets of a workspace.

Azure: azureml.core.keyvault.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mljupyter.workspace.vault import Vault

if TYPE_CHECKING:
    from mljupyter.core import Workspace


class Keyvault:
    """The secrets of a workspace, in the keyring of the user, or else in a file that only the user can read.

    Parameters:
        workspace: the workspace.

    Example:
        >>> keyvault = ws.get_default_keyvault()                     # doctest: +SKIP
        >>> keyvault.set_secret(name="db-password", value=password)  # doctest: +SKIP
        >>> keyvault.get_secret("db-password")                       # doctest: +SKIP

    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._vault = Vault(workspace.directory, workspace.context.document.id)

    def set_secret(self, name: str, value: str) -> None:
        """Store a secret; a present one is replaced.

        Parameters:
            name: 1 to 127 letters, digits and '-'.
            value: a text.

        Raises:
            UserErrorException: the name breaks the rule, or the value is no text.

        """
        self.set_secrets({name: value})

    def set_secrets(self, secrets_batch: Mapping[str, str]) -> None:
        """Store several secrets by their names; see `set_secret`."""
        self._vault.set(secrets_batch)

    def get_secret(self, name: str) -> str | None:
        """Return a secret; None, with a line that says so, if there is none of this name.

        Raises:
            UserErrorException: the keyring does not answer.

        """
        return self.get_secrets([name])[name]

    def get_secrets(self, secrets: Sequence[str]) -> dict[str, str | None]:
        """Return several secrets by their names; None for each that does not exist, with a line that says so."""
        found = self._vault.get(secrets)
        if missing := [name for name, value in found.items() if value is None]:
            known = ", ".join(self._vault.names()) or "none"
            print(f"Keyvault: SecretNotFound: {', '.join(map(repr, missing))}. There are: {known}.", file=sys.stderr)
        return found

    def list_secrets(self) -> list[dict[str, str]]:
        """Return the names of all secrets, each as a dict with the key ``name``; no values."""
        return [{"name": name} for name in self._vault.names()]

    def delete_secret(self, name: str) -> None:
        """Remove a secret; one that does not exist is ignored."""
        self.delete_secrets([name])

    def delete_secrets(self, secrets: Sequence[str]) -> None:
        """Remove several secrets; those that do not exist are ignored."""
        self._vault.delete(secrets)

    def __repr__(self) -> str:
        return f"Keyvault(workspace={self.workspace.name})"
