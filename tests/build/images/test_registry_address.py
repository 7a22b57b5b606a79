from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.build.images.errors import RegistryError
from mljupyter.build.images.registry.registry_address import (
    checked_host,
    is_loopback,
    origin,
    realm_url,
    redirect_url,
    upload_url,
)

BASE = "https://r.example.com/v2/"
LOCAL = "http://127.0.0.1:5000/v2/"


@pytest.mark.parametrize(
    ("base", "location"),
    [
        (BASE, "/v2/x/blobs/uploads/7?state=abc%3D"),
        (BASE, "https://r.example.com:443/up"),
        (BASE, "https://R.EXAMPLE.COM/up"),
        (BASE, "blobs/uploads/7"),
        (BASE, "https:///up"),
        (LOCAL, "http://127.0.0.1:5000/up"),
    ],
)
def test_an_upload_goes_on_at_the_registry(base: str, location: str) -> None:
    assert origin(upload_url(base, location)) == origin(base)


@pytest.mark.parametrize(
    ("base", "location"),
    [
        (BASE, "http://r.example.com/up"),
        (BASE, "https://r.example.com:8443/up"),
        (BASE, "https://r.example.com.evil.org/up"),
        (BASE, "https://r.example.com@evil.org/up"),
        (BASE, "https://ada@r.example.com/up"),
        (BASE, "https://evil.org\\@r.example.com/up"),
        (BASE, "//evil.org/up"),
        (BASE, "https://[/up"),
        (BASE, "https://r.example.com:99999/up"),
        (BASE, "https://r.example.com:x/up"),
        (BASE, "javascript:1"),
        (BASE, "https://r.example.com/\r\nX: y"),
        (BASE, "https://r\u3002example.com/up"),
        (BASE, ""),
        (LOCAL, "http://127.0.0.1:5001/up"),
        (LOCAL, "http://localhost:5000/up"),
        (LOCAL, "https://127.0.0.1:5000/up"),
    ],
)
def test_an_upload_goes_nowhere_else(base: str, location: str) -> None:
    with pytest.raises(RegistryError) as caught:
        upload_url(base, location)
    assert "state=" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "location", "follows"),
    [
        (BASE, "https://cdn.example.org/blob?sig=x", True),
        (BASE, "https://10.0.0.7/blob", True),  # a company's own storage
        (BASE, "/other", True),
        (BASE, "http://cdn.example.org/blob", False),
        (BASE, "http://r.example.com/blob", False),
        (BASE, "https://169.254.169.254/latest/meta-data", False),
        (BASE, "https://[fe80::1]/", False),
        (BASE, "https://[::ffff:169.254.169.254]/", False),
        (BASE, "https://127.0.0.1/", False),
        (BASE, "https://127.9.9.9:8443/", False),
        (BASE, "https://[::1]/", False),
        (BASE, "https://[::ffff:127.0.0.1]/", False),
        (BASE, "https://localhost/", False),
        (BASE, "https://LOCALHOST./", False),
        (BASE, "https://2130706433/", False),
        (BASE, "https://0x7f.1/", False),
        (BASE, "https://0/", False),
        (BASE, "https://0.0.0.0/", False),
        (BASE, "https://[::]/", False),
        (BASE, "https://[fe80::1%25eth0]/", False),
        (BASE, "https://ada:pw@cdn.example.org/", False),
        (LOCAL, "http://127.0.0.1:9000/blob", True),
        (LOCAL, "http://localhost:9000/blob", True),
        (LOCAL, "https://cdn.example.org/blob", True),
        (LOCAL, "http://169.254.169.254/", False),
        (LOCAL, "http://0.0.0.0/", False),
        ("https://localhost.example.com/v2/", "https://127.0.0.1/", False),
    ],
)
def test_a_download_goes_on_elsewhere_but_not_inside(base: str, location: str, follows: bool) -> None:
    if follows:
        assert redirect_url(base, base, location).startswith("http")
        return
    with pytest.raises(RegistryError):
        redirect_url(base, base, location)


@pytest.mark.parametrize(
    ("base", "realm", "taken"),
    [
        (BASE, "https://auth.example.org/token", True),
        (BASE, "https://r.example.com/token", True),
        (LOCAL, "https://auth.example.org/token", True),
        (LOCAL, "http://127.0.0.1:5009/token", True),
        (BASE, "http://r.example.com/token", False),
        (BASE, "http://auth.example.org/token", False),
        (BASE, "https://169.254.169.254/token", False),
        (BASE, "https://localhost/token", False),
        (LOCAL, "http://auth.example.org/token", False),
        (LOCAL, "http://localhost:5009/token", False),
        (BASE, "/token", False),
        (BASE, "", False),
    ],
)
def test_a_password_goes_to_a_token_service_with_encryption(base: str, realm: str, taken: bool) -> None:
    if taken:
        assert realm_url(base, realm) == realm
        return
    with pytest.raises(RegistryError):
        realm_url(base, realm)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost:5000", True),
        ("127.0.0.1", True),
        ("127.1.2.3:5000", True),
        ("[::1]:5000", True),
        ("localhost.evil.org", False),
        ("127.0.0.1.evil.org:5000", False),
        ("127.0.0.1x", False),
    ],
)
def test_only_this_machine_is_spoken_to_without_encryption(host: str, loopback: bool) -> None:
    assert (checked_host(host), is_loopback(host)) == (host, loopback)


HOSTS = st.one_of(st.text(max_size=30), st.from_regex(r"[a-z0-9.:\[\]/@#?\\ \n-]{0,30}"))


@settings(max_examples=150, deadline=None)
@given(HOSTS)
def test_a_host_is_the_host_of_its_url(host: str) -> None:
    try:
        checked_host(host)
    except RegistryError:
        return
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    assert origin(f"https://{host}/v2/")[1] == name.strip("[]").lower()


@settings(max_examples=150, deadline=None)
@given(st.one_of(HOSTS, HOSTS.map(lambda text: f"https://{text}"), HOSTS.map(lambda text: f"//{text}")))
def test_any_location_stays_at_the_registry_or_is_refused(location: str) -> None:
    import httpx

    try:
        url = upload_url(BASE, location)
    except RegistryError:
        return
    parsed = httpx.URL(url)  # as what sends the request reads it
    assert (parsed.scheme, parsed.host, parsed.port, parsed.userinfo) == ("https", "r.example.com", None, b"")
