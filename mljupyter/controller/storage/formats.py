"""The number of the format that a stored document needs: releases of a lower number refuse the database unchanged.

A document without new fields needs no new number. So an older release can go on with a workspace in which nothing of a
newer one is used, and refuses any other before it changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FIELDS_SINCE: Mapping[int, frozenset[str]] = {
    4: frozenset({"gpuResource", "hosts", "maxMemoryMb", "modelBytes", "modelDelivery", "placement", "secret"}),
}
"""The fields of endpoints and of the router that came after release 788ba90, by the number that they need. A new field
gets the next number, and `database.STEPS` an entry for it."""

_NAME = re.compile(r'"(\w+)":')


def format_of(document: str) -> int:
    """Return the number that a document in JSON needs; 0 when every release can read it.

    >>> format_of('{"name":"placement"}'), format_of('{"placement":{}}')
    (0, 4)
    """
    names = set(_NAME.findall(document))
    return max((number for number, fields in FIELDS_SINCE.items() if names & fields), default=0)
