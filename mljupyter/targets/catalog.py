"""The compute targets of a workspace, found by entry points of the group ``mljupyter.targets``.

An entry point names a function that takes a `TargetContext` and returns the targets of one type: one target for
``local`` and for ``docker``, or one for each attached cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import ComputeTargetException

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from mljupyter.targets.base import (  # imports pydantic, which would slow down the loading of the magics
        Target,
        TargetContext,
    )

GROUP = "mljupyter.targets"
Provider = Callable[["TargetContext"], Iterable["Target"]]
_FIRST = ("local", "docker")  # listed before those of other packages; the first one is the default


class TargetNotFoundError(ComputeTargetException):
    """No compute target has this name."""


class TargetConflictError(MLJupyterError):
    """Two installed packages provide a compute target of the same name."""


@cache
def _providers() -> tuple[EntryPoint, ...]:
    """Return the registered entry points: those of this machine first, then others by name."""
    from importlib.metadata import entry_points  # 10 to 20 ms, too slow for the loading of the magics

    def place(point: EntryPoint) -> tuple[int, str]:
        return (_FIRST.index(point.name) if point.name in _FIRST else len(_FIRST), point.name)

    return tuple(sorted(entry_points(group=GROUP), key=place))


def find_targets(context: TargetContext) -> Mapping[str, Target]:
    """Return the compute targets of a workspace by name.

    Raises:
        TargetConflictError: two of them have the same name.

    """
    found: dict[str, Target] = {}
    for point in _providers():
        provider: Provider = point.load()
        for target in provider(context):
            if target.name in found:
                raise TargetConflictError(
                    f"there are two compute targets {target.name!r}: one of type {found[target.name].type} and one of "
                    f"type {target.type} ({point.value}). Uninstall or detach one of them."
                )
            found[target.name] = target
    return found


def default_name() -> str:
    """Return the name of the default target: this machine."""
    return _FIRST[0]


def image_target(targets: Mapping[str, Target]) -> Target:
    """Return the default target for images: the first one that runs images.

    Raises:
        TargetNotFoundError: no target runs images.

    """
    for target in targets.values():
        if target.runs_images:
            return target
    raise TargetNotFoundError("ComputeTargetNotFound: no compute target here runs images.")


def check_target(targets: Mapping[str, Target], name: object) -> Target:
    """Return the target of a name.

    Raises:
        TargetNotFoundError: there is no such target; the message has the existing ones and the nearest name.

    """
    if isinstance(name, str) and name in targets:
        return targets[name]
    import difflib  # only for this error

    there = ", ".join(f"ws.compute_targets[{known!r}]" for known in targets)
    near = difflib.get_close_matches(str(name), targets, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise TargetNotFoundError(f"ComputeTargetNotFound: there is no compute target {name!r}. There are: {there}.{hint}")
