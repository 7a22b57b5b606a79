"""Colours of versions: the same one in every panel and figure."""

from __future__ import annotations

from mljupyter.spec import EndpointRecord


def hue_of(record: EndpointRecord, version: str) -> int:
    """Return the index of a version's colour: its place by name, as in the figures of `Webservice.plot`.

    Parameters:
        record: the endpoint.
        version: one of its versions.

    """
    return sorted(record.spec.versions).index(version)
