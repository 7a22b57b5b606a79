"""A YAML loader with the rules of version 1.2: ``1:5`` is not a number and ``2026-01-01`` is not a date."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from mljupyter.outside import bounded

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$")
_OTHERWISE = ("int", "float", "timestamp")


@cache
def loader() -> Any:
    """Return the loader class, with size bounds. It creates only numbers, texts, lists and mappings.

    In YAML 1.1, the default of PyYAML, ``1:5`` is the sexagesimal number 65.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads plain data."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in _OTHERWISE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(f"{_TAG}int", _INTEGER, list("-+0123456789"))
    Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+.0123456789"))
    return bounded(Loader)
