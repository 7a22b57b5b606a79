"""Protocols of object stores, and the extras that have their clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_CLIENTS = {
    **dict.fromkeys(("s3", "s3a"), ("s3fs", "s3")),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), ("adlfs", "azureblob")),
    **dict.fromkeys(("gs", "gcs"), ("gcsfs", "gcs")),
}
# Packages whose errors mean that a store, its client or its network refused an operation.
_PACKAGES = frozenset({"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "requests", "urllib3"})


def open_file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        ValueError: it cannot be used. The text says why, without the URL, and what to install.

    """
    from fsspec.core import url_to_fs

    try:
        file_system, path = url_to_fs(url)
    except ImportError as error:
        client = _CLIENTS.get(url.partition("://")[0])
        if client is None:
            raise ValueError(f"it needs a package that is not installed: {error}") from error
        package, extra = client
        raise ValueError(
            f"it needs the package {package}, which is not installed.\nInstall it: pip install 'mljupyter[{extra}]'"
        ) from error
    except Exception as error:
        if not (isinstance(error, ValueError) or is_refusal(error)):
            raise
        raise ValueError(reason_of(error)) from error
    return file_system, str(path)


def has_folders(url: str) -> bool:
    """Return whether folders must be created before files in them. In an object store this could create a bucket."""
    return url.partition("://")[0] not in _CLIENTS


def is_refusal(error: BaseException) -> bool:
    """Return whether an error comes from the client of an object store, not from our own code."""
    found: BaseException | None = error
    while found is not None:
        if type(found).__module__.partition(".")[0] in _PACKAGES:
            return True
        found = found.__cause__  # adlfs raises RuntimeError for some of them
    return False


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's text, in 300 characters at most."""
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300].rstrip(".")
