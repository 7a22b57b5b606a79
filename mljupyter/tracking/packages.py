"""The packages that a script asks for, against those that are installed: a decision without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion


def unmet(requirements: Iterable[str], version_of: Callable[[str], str | None]) -> list[str]:
    """Return the requirements that the installed packages do not meet, each with the installed version.

    Lines that are no requirements, such as URLs, are returned as they are.

    Parameters:
        requirements: lines for pip.
        version_of: the installed version of a package; None if it is not installed.

    Example:
        >>> unmet(["pandas>=2", "numpy==1.16"], {"pandas": "2.2.0", "numpy": "2.1.0"}.get)
        ['numpy==1.16 (installed: 2.1.0)']

    """
    found = []
    for line in requirements:
        try:
            requirement = Requirement(line)
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            version = version_of(requirement.name)
            if version is None:
                found.append(f"{line} (not installed)")
            elif not requirement.specifier.contains(version, prereleases=True):
                found.append(f"{line} (installed: {version})")
        except (InvalidRequirement, InvalidVersion):
            found.append(line)
    return found
