"""PrivateState: the operator's private files and settings, in a Secret: keys that sign tokens, certificates, and so on.

The parts that use them read and write files, as on one machine. The files of a pod go away with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.private_files import write_private
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer
from mljupyter.kubernetes.api_server.informer import Informer
from mljupyter.kubernetes.objects import names
from mljupyter.outside import json_value
from mljupyter.spec import RouterSpec, SpecError

MANAGER = "mljupyter"
_SETTINGS = "settings.json"
_KEPT_SETTINGS = ("router",)
_LOOK_EVERY = 1.0
_NOT_FOUND = 404

log = logging.getLogger(__name__)


class PrivateState:
    """Restores the private files of an earlier operator, and stores each change.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        layout: the places of the files.

    """

    def __init__(self, api: ApiServer, namespace: str, layout: Layout) -> None:
        self._api = api
        self._namespace = namespace
        self._layout = layout
        self._path = f"{names.secrets(namespace)}/{names.KEYS_SECRET}"
        self._stored: Mapping[str, str] = {}
        self._store: Store | None = None
        self._lock = asyncio.Lock()
        self._informer = Informer(
            api,
            names.secrets(namespace),
            fields=f"metadata.name={names.KEYS_SECRET}",
            changed=lambda _kind, _secret: None,
        )

    async def restore(self) -> None:
        """Write the files that the Secret has. What is no text cannot be one of ours, and is left out.

        Raises:
            ApiError: when it cannot be read.

        """
        try:
            secret = await self._api.get(self._path)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return
        self._stored = secret.get("data") or {}
        for key, text in self._stored.items():
            if key != _SETTINGS:
                self._restore_file(self._layout.control / key.replace("..", "/"), key, text)

    def _restore_file(self, path: Path, key: str, text: str) -> None:
        try:
            content = base64.b64decode(text).decode()
        except ValueError:
            log.error("%s in Secret %s cannot be read, and is made again", key, names.KEYS_SECRET)
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, content)

    def restore_settings(self, store: Store) -> None:
        """Write the settings that the Secret has into the store, and store their changes from now on."""
        for name, value in settings_in(self._stored.get(_SETTINGS, "")).items():
            store.put_setting(name, value)
        self._store = store

    async def run(self) -> None:
        """Store changes until cancelled, and the whole Secret again when somebody has deleted or changed it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._informer.run())
            tasks.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            # The copy, not an event: nothing reports a deletion before the first list. A copy that is late has the
            # Secret written once more, which changes nothing.
            present = self._informer.objects.get(names.KEYS_SECRET, {}).get("data") or {}
            if self._informer.synced.is_set() and not self._stored.items() <= present.items():
                self._stored = {}
            try:
                await self.settle()
            except ApiError as error:
                log.warning("private files are not stored yet: %s", error.message)
            await asyncio.sleep(_LOOK_EVERY)

    async def settle(self) -> None:
        """Return when the present files and settings are stored.

        Raises:
            ApiError: when the API server does not take them.

        """
        async with self._lock:
            present = self._present()
            if present == self._stored:
                return
            body = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": names.KEYS_SECRET,
                    "namespace": self._namespace,
                    "labels": names.labels(names.COMPONENT_OPERATOR),
                },
                "data": present,
            }
            await self._api.patch(self._path, body, kind="apply", manager=MANAGER, force=True)
            self._stored = present

    def _present(self) -> dict[str, str]:
        files = [self._layout.token_keys, self._layout.replica_key, *sorted(self._layout.tls.glob("*"))]
        found = {self._key(path): _encoded(path.read_bytes()) for path in files if path.is_file()}
        if self._store is not None:
            settings = {name: self._store.setting(name) for name in _KEPT_SETTINGS}
            known = {name: value for name, value in settings.items() if value is not None}
            found[_SETTINGS] = _encoded(json.dumps(known).encode())
        return found

    def _key(self, path: Path) -> str:
        """Return the key of a file in the Secret: its path, as a key may not have a slash."""
        return str(path.relative_to(self._layout.control)).replace("/", "..")


def settings_in(text: str) -> dict[str, str]:
    """Return the settings of a Secret that can be read; the others have their defaults again."""
    try:
        found = json_value(base64.b64decode(text) or b"{}")
        router = found.get("router") if isinstance(found, dict) else None
        if isinstance(router, str):
            RouterSpec.parse(json_value(router))
            return {"router": router}
        if found == {}:
            return {}
    except (ValueError, SpecError):
        pass
    log.error("%s in Secret %s cannot be read: the defaults are in force", _SETTINGS, names.KEYS_SECRET)
    return {}


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
