"""Rules for the values of deployment configurations. Each yields one message for each invalid value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from mljupyter.exceptions import WebserviceException
from mljupyter.files import expanded
from mljupyter.spec import Placement, Resources, SpecError, Toleration
from mljupyter.spec.document import camel_case
from mljupyter.spec.version import ModelDelivery

_NODES = ("node_selector", "tolerations", "runtime_class")
PLACEMENT = (*_NODES, "namespace")
"""The arguments of a configuration that say on which nodes of a cluster replicas run, and in which namespace."""

DELIVERIES: tuple[str, ...] = get_args(ModelDelivery)
"""The ways on which models reach replicas on a cluster."""

OWN_PROPERTY_PREFIX = "mljupyter."
_TLS_FILES = ("ssl_cert_pem_file", "ssl_key_pem_file")


def raise_all(messages: Iterable[str]) -> None:
    """Raise one `WebserviceException` with all messages, one per line; do nothing without messages."""
    text = "\n".join(messages)
    if text:
        raise WebserviceException(text)


def above_zero(given: dict[str, Any], names: Iterable[str], *, whole: bool = False) -> Iterable[str]:
    """Yield a message for each value that is not a number above 0, or with `whole` not a whole number."""
    for name in names:
        value = given.get(name)
        if value is None:
            continue
        if not _is_number(value, whole=whole) or not value > 0:
            yield f"{name} is {value!r}: it must be a {'whole ' if whole else ''}number above 0."


def flags(given: dict[str, Any], names: Iterable[str]) -> Iterable[str]:
    """Yield a message for each value that is neither True nor False."""
    for name in names:
        if name in given and not isinstance(given[name], bool):
            yield f"{name} is {given[name]!r}: it must be True or False."


def texts(given: dict[str, Any]) -> Iterable[str]:
    """Yield a message for tags and properties that are not a mapping from text to text, and for reserved properties."""
    for name in ("tags", "properties"):
        value = given.get(name)
        if value is None:
            continue
        if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
            yield f"{name} is {value!r}: it must be a dict from str to str."
        elif name == "properties" and any(key.startswith(OWN_PROPERTY_PREFIX) for key in value):
            yield f"properties: keys that start with {OWN_PROPERTY_PREFIX!r} are reserved."


def own_keys(given: dict[str, Any], *, key_authentication: bool) -> Iterable[str]:
    """Yield a message for keys of a service without key authentication."""
    names = [name for name in ("primary_key", "secondary_key") if name in given]
    if names and not key_authentication:
        yield f"{' and '.join(names)} given, but key authentication is off: pass auth_enabled=True with own keys."


def tls_files(given: dict[str, Any]) -> Iterable[str]:
    """Yield a message for TLS arguments that are not complete, or whose files do not exist."""
    if given.get("ssl_enabled"):
        missing = [name for name in (*_TLS_FILES, "ssl_cname") if not given.get(name)]
        if missing:
            yield f"ssl_enabled is True: {', '.join(missing)} must be given, too."
    for name in _TLS_FILES:
        if name in given and not expanded(given[name]).is_file():
            yield f"{name} is {str(given[name])!r}: this file does not exist."


def all_or_none(given: dict[str, Any], names: Iterable[str]) -> Iterable[str]:
    """Yield a message if only some of several arguments are given that are needed together."""
    names = tuple(names)
    missing = [name for name in names if name not in given]
    if missing and len(missing) < len(names):
        yield f"{', '.join(names)} belong together: {', '.join(missing)} must be given, too."


def port_rule(port: object) -> Iterable[str]:
    """Yield a message for a value that is not a port."""
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535):
        yield f"port is {port!r}: it must be a whole number from 1 to 65535, or None."


def percentile_rule(name: str, value: object) -> Iterable[str]:
    """Yield a message for a value that is not a whole number from 0 to 100."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        yield f"{name} is {value!r}: it must be a whole number from 0 to 100."


def placement_rules(given: Mapping[str, Any]) -> Iterable[str]:
    """Yield a message for each value that breaks a rule of accelerators and placement."""
    try:
        Resources.parse({"gpu_resource": given.get("gpu_resource")})
    except SpecError as error:
        yield error.message.replace("gpuResource", "gpu_resource")
    for name in _NODES:
        try:
            asked_placement(None, {name: given.get(name)})
        except SpecError as error:
            yield error.message.replace(camel_case(name), name)


def delivery_rule(given: Mapping[str, Any]) -> Iterable[str]:
    """Yield a message for a delivery of models that does not exist."""
    value = given.get("model_delivery")
    if value is not None and value not in DELIVERIES:
        allowed = " or ".join(map(repr, DELIVERIES))
        yield f"model_delivery is {value!r:.100}: it must be {allowed}, or None for the default by size."


def asked_placement(present: Placement | None, given: Mapping[str, Any]) -> Placement | None:
    """Return the placement of a version, changed by a configuration; None without any rule.

    Parameters:
        present: the placement before.
        given: the arguments of the configuration: `PLACEMENT`. An empty value takes the present one away. A toleration
            may be text, see `Toleration.of`.

    Raises:
        SpecError: a value breaks a rule.

    """
    values = {name: getattr(present or Placement(), name) for name in PLACEMENT}
    values |= {name: given[name] for name in PLACEMENT if given.get(name) is not None}
    values["runtime_class"] = values["runtime_class"] or None
    if isinstance(values["tolerations"], (list, tuple)):
        values["tolerations"] = [Toleration.of(one) if isinstance(one, str) else one for one in values["tolerations"]]
    asked = Placement.parse(values)
    return None if asked == Placement() else asked


def _is_number(value: Any, *, whole: bool) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return not isinstance(value, bool) and isinstance(value, int if whole else (int, float))
