"""CollectedData: the interface to the files that the scripts of an endpoint have collected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mljupyter.spec.collected import CollectedFile


class CollectedData(Protocol):
    """Lists and reads the collected data of endpoints.

    The methods raise `CollectedDataError` when the data cannot be read, with the reason and a way out.
    """

    async def files(self, endpoint: str, after: str, most: int) -> Sequence[CollectedFile]:
        """Return the files of an endpoint in the order of their paths.

        Parameters:
            endpoint: the name of the endpoint.
            after: the path after which the list begins; empty for all.
            most: the largest number of files.

        """
        ...

    async def read(self, endpoint: str, path: str, offset: int, most: int) -> bytes:
        """Return a piece of a file; it is empty at the end of the file.

        Parameters:
            endpoint: the name of the endpoint.
            path: the path of the file, as `files` gives it.
            offset, most: the first byte, and the largest number of bytes.

        """
        ...
