"""The import hook, two finders of modules: one gives the names of the SDK, one looks for the real SDK.

Nothing but `sys` is imported at the top: kernels and programs that only use scikit-learn pay for this module.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NAMES = ("azureml", "sklearn.")
_gave_way = False
_REPLICA_SHIMS = "mljupyter.scoring.shims.finder"


class Names:
    """The last finder: it gives modules of the SDK that no other finder has found."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the SDK, or of a former module of scikit-learn; None for other names."""
        if not name.startswith(_NAMES) or _in_replica():
            return None
        from mljupyter.azureml.facades import find  # only a program that uses these names needs it

        return find(name)


class RealPackage:
    """The first finder: when the real SDK is installed it removes the hook, and says so."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the real ``azureml.core``; None if it is not installed, and for other names."""
        if name != "azureml.core":
            return None
        for finder in sys.meta_path:
            if not type(finder).__module__.startswith("mljupyter."):
                find = getattr(finder, "find_spec", None)  # the finders of old tools lack it
                spec: ModuleSpec | None = find(name, path, target) if find is not None else None
                if spec is not None and spec.origin is not None:
                    _give_way()
                    print(f"mljupyter: the real package is used for azureml: {spec.origin}", file=sys.stderr)
                    return spec
        return None


def install() -> bool:
    """Install the finders in this interpreter. Return False if they are there already, or the real SDK is in use."""
    if _gave_way or is_installed():
        return False
    sys.meta_path.insert(0, RealPackage())
    sys.meta_path.append(Names())
    return True


def uninstall() -> None:
    """Remove the finders from this interpreter; modules that are imported already stay."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, (Names, RealPackage))]


def is_installed() -> bool:
    """Return whether the finders are in this interpreter."""
    return any(isinstance(finder, Names) for finder in sys.meta_path)


def _give_way() -> None:
    global _gave_way
    _gave_way = True
    uninstall()


def _in_replica() -> bool:
    """Return whether the worker of a replica has its own modules for scripts, which take precedence."""
    shims = sys.modules.get(_REPLICA_SHIMS)
    return shims is not None and any(isinstance(finder, shims.ShimFinder) for finder in sys.meta_path)
