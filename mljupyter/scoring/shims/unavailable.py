"""Errors and placeholder classes for parts of the SDK that do not work inside a replica."""

from __future__ import annotations

from typing import Any, NoReturn

from mljupyter.scoring.shims.exceptions import UserErrorException


def unavailable(what: str, instead: str = "") -> UserErrorException:
    """Return the error for a use of the SDK that needs a workspace."""
    return UserErrorException(
        f"{what} is not available inside a replica: a scoring script has its models, but no workspace. "
        f"{instead or 'Install azureml-core in the environment of the service if the script needs it.'}"
    )


def placeholder(name: str) -> type:
    """Return a class that can be imported and used in annotations, and raises an error otherwise."""

    class Meta(type):
        def __getattr__(cls, attribute: str) -> NoReturn:
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            raise unavailable(f"{name}.{attribute}")

        def __call__(cls, *_: Any, **__: Any) -> NoReturn:
            raise unavailable(f"{name}(...)")

    return Meta(name.rpartition(".")[2], (), {"__module__": name.rpartition(".")[0]})
