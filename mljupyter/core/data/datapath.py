"""DataPath: a path of a datastore.

Azure: azureml.data.datapath.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mljupyter.core import Datastore


class DataPath:
    """A path of a datastore, as source of a dataset or as target of an upload.

    Parameters:
        datastore: the datastore.
        path_on_datastore: the path; by default all of the datastore.
        name: without effect.

    Example:
        >>> DataPath(ws.get_default_datastore(), "weather/2019")     # doctest: +SKIP

    """

    def __init__(
        self, datastore: Datastore | None = None, path_on_datastore: str | None = None, name: str | None = None
    ) -> None:
        self.datastore_name = datastore.name if datastore is not None else None
        self.datastore = datastore
        self.path_on_datastore = path_on_datastore or ""
        self.name = name

    def __repr__(self) -> str:
        return f"DataPath(datastore={self.datastore_name}, path_on_datastore={self.path_on_datastore})"
