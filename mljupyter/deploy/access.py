"""Keys, tokens and TLS of an endpoint, derived from a deployment configuration. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.exceptions import WebserviceException
from mljupyter.files import expanded
from mljupyter.spec import Authentication, EndpointSpec, EndpointTls


def asked_authentication(given: Mapping[str, Any], otherwise: Authentication) -> Authentication:
    """Return the authentication of a new endpoint.

    If only tokens are turned on, keys are off (Azure ML v1: AksWebservice.deploy_configuration).

    Parameters:
        given: the arguments that were given, by name.
        otherwise: the authentication if no argument sets it.

    """
    if given.get("token_auth_enabled"):
        return Authentication.TOKEN
    enabled = given.get("auth_enabled")
    if enabled is None:
        return otherwise
    return Authentication.KEY if enabled else Authentication.NONE


def changed_authentication(given: Mapping[str, Any], present: Authentication) -> Authentication:
    """Return the authentication of an endpoint after a change; the present one if no argument sets it.

    Raises:
        WebserviceException: tokens and keys would both be on (Azure ML v1: AksWebservice.update), or tokens are turned
            off without a choice for keys.

    """
    keys, tokens = given.get("auth_enabled"), given.get("token_auth_enabled")
    if tokens and present is Authentication.KEY and keys is not False:
        raise WebserviceException(
            "token_auth_enabled is True, but key authentication is on: a service has keys or tokens, not both.\n"
            "Pass auth_enabled=False in the same call."
        )
    if keys and present is Authentication.TOKEN and tokens is not False:
        raise WebserviceException(
            "auth_enabled is True, but token authentication is on: a service has keys or tokens, not both.\n"
            "Pass token_auth_enabled=False in the same call."
        )
    if tokens is False and keys is None and present is Authentication.TOKEN:
        raise WebserviceException(
            "token_auth_enabled is False and auth_enabled is not given: everybody could call the service.\n"
            "Pass auth_enabled=True for keys, or auth_enabled=False to let everybody score."
        )
    if present is Authentication.TOKEN and keys is False and tokens is None:
        return present  # keys are off already
    return asked_authentication(given, present)


def asked_tls(given: Mapping[str, Any], present: EndpointTls | None) -> EndpointTls | None:
    """Return the endpoint's own certificate after a change; the present one if no argument sets it.

    Raises:
        WebserviceException: only some of the three arguments are given.
        SpecError: the host is not a host name.

    """
    if given.get("ssl_enabled") is False:
        return None
    names = {"host": "ssl_cname", "certificate_file": "ssl_cert_pem_file", "key_file": "ssl_key_pem_file"}
    found = {field: given[name] for field, name in names.items() if given.get(name)}
    if not found:
        return present
    for field in ("certificate_file", "key_file"):
        if field in found:
            found[field] = str(expanded(found[field]).resolve())
    before = present.model_dump() if present is not None else {}
    if {"certificate_file", "key_file"} & found.keys():
        before = {field: value for field, value in before.items() if field != "secret"}  # the files replace it
    known = {field for field, value in before.items() if value is not None}
    missing = [name for field, name in names.items() if field not in found.keys() | known]
    if missing and "secret" not in known:
        raise WebserviceException(
            f"{' and '.join(names[field] for field in found)} given without {' and '.join(missing)}: TLS needs all of "
            "them and ssl_enabled=True."
        )
    return EndpointTls.parse(before | found)


OPEN_IN_WORDS = (
    "The endpoint has authentication or TLS. To turn them off, write so into the specification: authentication: none, "
    "tls: null."
)
"""The way out if a specification of a kind without authentication or TLS names neither."""


def openings(present: EndpointSpec, wanted: EndpointSpec) -> list[str]:
    """Return a warning for each protection that an endpoint loses by a change.

    Parameters:
        present, wanted: the endpoint before and after.

    """
    found = []
    if wanted.authentication is Authentication.NONE and present.authentication is not Authentication.NONE:
        found.append(
            f"Authentication of {wanted.name!r} is turned off: all clients that reach its address may score, without a "
            f"{present.authentication}."
        )
    if wanted.tls is None and present.tls is not None:
        found.append(f"TLS of {wanted.name!r} is turned off: its certificate for {present.tls.host} is removed.")
    return found


def with_access_of(present: EndpointSpec, wanted: EndpointSpec) -> EndpointSpec:
    """Return a specification with the authentication and TLS of the present endpoint, unless it names its own.

    Parameters:
        present: the endpoint that the specification replaces.
        wanted: the specification as it was parsed; a field that its document names is kept.

    Raises:
        SpecError: the present authentication or TLS does not exist for the kind of the specification.

    """
    kept = {name: getattr(present, name) for name in ("authentication", "tls") if name not in wanted.model_fields_set}
    values = {name: getattr(wanted, name) for name in wanted.model_fields_set}
    return EndpointSpec.parse(values | kept) if kept else wanted
