"""The vCPUs of Azure's VM sizes, from their names. No request is made."""

from __future__ import annotations

import re

# [family][number](-[vCPUs in use])[features](_[accelerator or memory])(_v[version]). The number is that of the vCPUs;
# older families count their sizes instead.
_SIZE = re.compile(
    r"(?:standard|basic)_([a-z]+?)(\d{1,3})(?:-(\d{1,3}))?[a-z]*(?:_\w+?)??(?:_v(\d{1,2}))?", re.IGNORECASE
)
_D = {1: 1, 2: 2, 3: 4, 4: 8, 5: 16, 11: 2, 12: 4, 13: 8, 14: 16, 15: 20}
_G = {1: 2, 2: 4, 3: 8, 4: 16, 5: 32}
_A = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 8: 8, 9: 16, 10: 8, 11: 16}
_COUNTED = {"d": (_D, 2), "ds": (_D, 2), "g": (_G, 1), "gs": (_G, 1), "a": (_A, 1)}
"""By family: the vCPUs by number, and the last version in which sizes are counted."""


def vcpus_of(vm_size: str) -> int | None:
    """Return the number of vCPUs of a VM size, None if its name does not say it.

    Parameters:
        vm_size: its name.

    Example:
        >>> vcpus_of("Standard_D3_v2"), vcpus_of("Standard_D4s_v5"), vcpus_of("Standard_E32-8s_v3"), vcpus_of("big")
        (4, 4, 8, None)

    """
    found = _SIZE.fullmatch(vm_size)
    if found is None:
        return None
    family, number, in_use, version = found[1].lower(), int(found[2]), found[3], int(found[4] or 1)
    if in_use is not None:
        return int(in_use)
    sizes, last = _COUNTED.get(family, ({}, 0))
    if version <= last:
        return sizes.get(number)
    return number or None
