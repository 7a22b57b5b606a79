"""Rules for the addresses of a registry: only its own address gets credentials and content."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urljoin, urlsplit

from mljupyter.build.images.errors import RegistryError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 16384


def checked_host(host: str) -> str:
    """Return a registry's ``host[:port]``, or raise `RegistryError` when it is anything else."""
    name, _, port = host.rpartition(":") if re.search(r":\d{1,5}\Z", host) else (host, "", "")
    if (_NAME.fullmatch(name) or _is_ipv6(name)) and (not port or 0 < int(port) < 65536):
        return host
    raise RegistryError(
        f"{host!r:.100} is not the address of a registry. Rule: host or host:port, such as 'r.example.com'."
    )


def is_loopback(host: str) -> bool:
    """Return whether a registry is on this machine."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name.lower().rstrip(".") == "localhost":
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL, or raise `RegistryError` if they are not plain and unambiguous."""
    parts = _split(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS[parts.scheme]


def upload_url(base: str, location: str) -> str:
    """Return the URL where an upload continues, or raise `RegistryError` when it is not at the registry itself.

    The content of models and code is sent to the named registry and to no other address.
    """
    url = _joined(base, location)
    if not location or origin(url) != origin(base):
        raise RegistryError(
            f"The registry {_shown(base)} wants the upload to continue at {_shown(url)}.\n"
            "Rule: uploads stay at the registry's own scheme, host and port. Behind a proxy, tell the registry its "
            "address (REGISTRY_HTTP_HOST, or the header X-Forwarded-Proto)."
        )
    return url


def redirect_url(base: str, current: str, location: str) -> str:
    """Return the URL where a download continues, or raise `RegistryError`.

    Storage on another host is usual, and gets no credentials. HTTPS never continues as HTTP. A remote registry cannot
    send its clients to their own machine, nor to the addresses where clouds give out credentials.
    """
    url = _joined(current, location)
    if origin(url) == origin(base):
        return url
    scheme, host, _ = origin(url)
    if not location or (scheme == "http" and origin(base)[0] == "https"):
        raise RegistryError(
            f"The registry {_shown(base)} wants the download to continue at {_shown(url)}, which is not encrypted."
        )
    if _is_inside(host, of_this_machine=is_loopback(origin(base)[1])):
        raise RegistryError(
            f"The registry {_shown(base)} wants the download to continue at {_shown(url)}, an address of this "
            "machine or its link: that is not followed."
        )
    return url


def realm_url(base: str, realm: str) -> str:
    """Return the URL that issues tokens for the registry's credentials, or raise `RegistryError`.

    As with Docker's own clients, any host is allowed by HTTPS, since the registry could also ask for the password
    itself. HTTP is allowed only for the host of a registry that is reached by HTTP.
    """
    scheme, host, _ = origin(realm)
    base_scheme, base_host, _ = origin(base)
    if scheme == "http" and (base_scheme, host) != ("http", base_host):
        raise RegistryError(
            f"The registry {_shown(base)} wants a password sent to {_shown(realm)}, which is not encrypted."
        )
    if host != base_host and _is_inside(host, of_this_machine=is_loopback(base_host)):
        raise RegistryError(
            f"The registry {_shown(base)} wants a password sent to {_shown(realm)}, an address of this machine "
            "or its link: the password is not sent there."
        )
    return realm


def _joined(base: str, location: str) -> str:
    try:
        return urljoin(base, location)
    except ValueError as error:
        raise RegistryError(f"The registry names the address {location!r:.100}, which is not a URL.") from error


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RegistryError(f"The registry names the address {url!r:.100}, which is not a URL.") from error
    # urllib drops line ends and treats a backslash differently from other parsers, so such an address is ambiguous.
    plain = url.isascii() and url.isprintable() and len(url) <= _LONGEST_URL and not re.search(r"[\s\\]", url)
    host = parts.hostname or ""
    if not plain or parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc or port == 0:
        raise RegistryError(
            f"The registry names the address {url!r:.100}. Rule: http or https, a host, no user name in it."
        )
    if not (_NAME.fullmatch(host) or _is_ipv6(f"[{host}]")):
        raise RegistryError(f"The registry names the address {url!r:.100}, whose host cannot be one.")
    return parts


def _is_inside(host: str, *, of_this_machine: bool) -> bool:
    """Return whether a host is this machine, link-local, or not a valid host.

    With `of_this_machine`, the registry is on this machine and may name it.
    """
    address = _address(host)
    if address is None:
        # A resolver also accepts numbers in other spellings, such as 2130706433 and 0x7f.1, as addresses.
        odd = re.fullmatch(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*\.?", host) is not None
        return odd or (is_loopback(host) and not of_this_machine)
    if address.is_loopback:
        return not of_this_machine
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_ipv6(name: str) -> bool:
    inside = name.removeprefix("[").removesuffix("]")
    if name != f"[{inside}]" or "%" in inside:
        return False
    try:
        ipaddress.IPv6Address(inside)
    except ValueError:
        return False
    return True


def _shown(url: str) -> str:
    """Return only scheme and host: the rest may contain credentials, such as the signature of an upload."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
