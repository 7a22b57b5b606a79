"""The sentence about a version that an endpoint does not have, the same for SDK, magics and command line."""

from __future__ import annotations

import difflib

from mljupyter.spec import EndpointSpec


def unknown_version(spec: EndpointSpec, name: str) -> str:
    """Return the sentences about an unknown version: the nearest one, and those that exist.

    Parameters:
        spec: the endpoint.
        name: the version that it does not have.

    Example:
        ``'diabetes' has no version 'version-c'. Did you mean 'version-b'? It has version-a, version-b.``

    """
    sentence = f"{spec.name!r} has no version {name!r}."
    near = difflib.get_close_matches(str(name), spec.versions, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if list(spec.versions) == [spec.name]:  # a web service, whose version has no name of its own
        return f"{sentence}{hint} It has a single one: leave the version out."
    return f"{sentence}{hint} It has {', '.join(sorted(spec.versions))}."
