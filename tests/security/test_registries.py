"""Container registries that lie: about digests, sizes, archives and addresses."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.build.images import ImageError, RegistryCredentials
from mljupyter.build.images.registry.base_image import interpreters, read_base_image
from mljupyter.build.images.registry.registry_client import RegistryClient

from .registries import LAYER, OCI_INDEX, OCI_MANIFEST, Answer, FakeRegistry, config_of, digest_of, layer, running

PYTHON = "usr/bin/python3.11"
NOISE = 4 << 20
SECRET = "s3cret-password"
OTHER = digest_of(b"another layer")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with running(FakeRegistry()) as started:
        yield started


@pytest.fixture
def elsewhere() -> Iterator[FakeRegistry]:
    """Another server on this machine, on another port."""
    with running(FakeRegistry()) as started:
        yield started


def client_of(registry: FakeRegistry, repository: str = "team/python") -> RegistryClient:
    return RegistryClient(registry.host, repository, RegistryCredentials(registry.host, "ada", SECRET))


def pythons(registry: FakeRegistry, cache: Path) -> dict[str, int]:
    """Do with a base image what a build does: read it, and find its Pythons."""
    with client_of(registry) as client:
        base = read_base_image(client, "1", "linux/amd64")
        return interpreters(client, base, cache).pythons


def test_an_honest_image_is_read(registry: FakeRegistry, tmp_path: Path) -> None:
    content = layer("usr/lib/x" * 30, PYTHON)
    registry.serve_image([(digest_of(content), content)])
    assert pythons(registry, tmp_path) == {f"/{PYTHON}": 11}
    assert pythons(registry, tmp_path) == {f"/{PYTHON}": 11}, "by the note"


def test_a_digest_is_no_path(registry: FakeRegistry, tmp_path: Path) -> None:
    victim = tmp_path / "victim.json"
    victim.write_text("mine")
    cache = tmp_path / "a" / "cache"
    content = layer(PYTHON) + os.urandom(NOISE)  # the noise keeps a reader of the archive from the layer's end
    for claimed in ("sha256:/../../../victim", "sha256:x/../../../victim", f"{OTHER}\n", "sha512:" + "0" * 128):
        registry.serve_image([(claimed, content)])
        with pytest.raises(ImageError):
            pythons(registry, cache)
    assert victim.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*.json") if path != victim] == []


def test_a_forged_layer_is_neither_used_nor_noted(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.serve_image([(OTHER, layer(PYTHON) + os.urandom(NOISE))])
    with pytest.raises(ImageError, match="damaged layer"):
        pythons(registry, tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_a_forged_layer_with_its_noise_inside_the_archive_is_refused(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.serve_image([(OTHER, layer(PYTHON, unpacked=os.urandom(NOISE)))])
    with pytest.raises(ImageError, match="damaged layer"):
        pythons(registry, tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_notes_that_an_earlier_release_may_have_been_made_to_write_are_not_read(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    content = layer("usr/bin/perl")
    registry.serve_image([(digest_of(content), content)])
    poisoned = json.dumps({"musl": True, "pythons": {"/usr/bin/python3.99": 99}})
    (tmp_path / f"python-{digest_of(content).removeprefix('sha256:')}.json").write_text(poisoned)
    assert pythons(registry, tmp_path) == {}


def test_more_than_the_manifest_says_is_not_read(registry: FakeRegistry, tmp_path: Path) -> None:
    content = layer(PYTHON)
    registry.serve_image([(digest_of(content), content)])
    registry.serve(f"team/python/blobs/{digest_of(content)}", content + bytes(NOISE))
    with pytest.raises(ImageError, match="damaged layer"):
        pythons(registry, tmp_path)


def _nothing_of(key: str, value: Any) -> Any:
    return lambda manifest: manifest.__setitem__(key, value)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda m: m["layers"][0].update(size=-1), id="negative size"),
        pytest.param(lambda m: m["layers"][0].update(size=True), id="size is a truth"),
        pytest.param(lambda m: m["layers"][0].update(size=1 << 60), id="size without bound"),
        pytest.param(lambda m: m["layers"][0].update(size="1"), id="size is text"),
        pytest.param(lambda m: m["layers"][0].pop("digest"), id="no digest"),
        pytest.param(lambda m: m["layers"][0].update(digest=["sha256"]), id="digest is a list"),
        pytest.param(lambda m: m["layers"][0].update(mediaType=7), id="media type is a number"),
        pytest.param(_nothing_of("layers", ["x"]), id="layer is text"),
        pytest.param(lambda m: m.update(layers=m["layers"] * 501), id="too many layers"),
        pytest.param(_nothing_of("layers", {"digest": OTHER}), id="layers are an object"),
        pytest.param(_nothing_of("config", None), id="no configuration"),
        pytest.param(lambda m: m["config"].update(size=5 << 20), id="huge configuration"),
        pytest.param(lambda m: m["config"].update(digest="sha256:../../x"), id="path as digest of the configuration"),
        pytest.param(_nothing_of("manifests", []), id="two kinds at once"),
        pytest.param(_nothing_of("mediaType", OCI_INDEX), id="another kind inside"),
    ],
)
def test_a_manifest_against_the_rules_is_refused(registry: FakeRegistry, tmp_path: Path, change: Any) -> None:
    content = layer(PYTHON)
    registry.serve_image([(digest_of(content), content)], change=change)
    with pytest.raises(ImageError) as caught:
        pythons(registry, tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"layers":' * 100_000, b"7", b"\xff\xfe", b"{" + b" " * (9 << 20) + b"}"],
    ids=["deep list", "deep object", "number", "no text", "too long"],
)
def test_json_that_is_none_deep_or_too_long_is_refused(registry: FakeRegistry, tmp_path: Path, body: bytes) -> None:
    registry.serve("team/python/manifests/1", body, OCI_MANIFEST)
    with pytest.raises(ImageError):
        pythons(registry, tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        config_of(0),
        config_of(1) | {"rootfs": {"diff_ids": ["../../x"]}},
        config_of(1) | {"rootfs": None},
        config_of(1) | {"config": {"Env": {"A": "b"}}},
        config_of(1) | {"config": {"Env": [7]}},
        config_of(1) | {"config": {"Labels": ["x"]}},
        config_of(1) | {"config": {"ExposedPorts": ["x"]}},
        config_of(1) | {"history": {"x": 1}},
        config_of(1) | {"created": 7},
    ],
)
def test_a_configuration_of_another_form_is_refused(registry: FakeRegistry, tmp_path: Path, config: Any) -> None:
    content = layer(PYTHON)
    registry.serve_image([(digest_of(content), content)], config=config)
    with pytest.raises(ImageError):
        pythons(registry, tmp_path)


def test_an_index_leads_to_a_digest_alone(registry: FakeRegistry, tmp_path: Path) -> None:
    content = layer(PYTHON)
    registry.serve_image([(digest_of(content), content)])
    there = {"os": "linux", "architecture": "amd64"}
    for reference in ("1", "1/../../../../elsewhere/manifests/1", "sha256:1"):
        entry = {"mediaType": OCI_MANIFEST, "digest": reference, "size": 10, "platform": there}
        registry.serve("team/python/manifests/2", json.dumps({"manifests": [entry]}).encode(), OCI_INDEX)
        with client_of(registry) as client, pytest.raises(ImageError, match="is not a digest"):
            read_base_image(client, "2", "linux/amd64")


@pytest.mark.parametrize(
    "name",
    [
        "../usr/bin/python3.11",
        "opt/../bin/python3.11",
        f"usr/bin/python3.{'9' * 50}",
        "usr/bin/python3.1\n",
        "/" + PYTHON,
    ],
)
def test_names_in_a_layer_that_lead_elsewhere_are_no_pythons(registry: FakeRegistry, tmp_path: Path, name: str) -> None:
    content = layer(name)
    registry.serve_image([(digest_of(content), content)])
    assert pythons(registry, tmp_path) == {}


def test_devices_and_directories_are_no_pythons(registry: FakeRegistry, tmp_path: Path) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for number, kind in enumerate((tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.BLKTYPE)):
            member = tarfile.TarInfo(f"usr/bin/python3.{number + 11}")
            member.type = kind
            archive.addfile(member)
    content = gzip.compress(raw.getvalue())
    registry.serve_image([(digest_of(content), content)])
    assert pythons(registry, tmp_path) == {}


def _header(kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE])
def test_a_bomb_in_a_layers_headers_takes_no_memory(registry: FakeRegistry, tmp_path: Path, kind: bytes) -> None:
    """A header that claims 64 MB: a reader that believes it keeps all of that in memory."""
    claimed = 64 << 20
    # As the blocks of a sparse file, the digits say that more of them follow.
    content = gzip.compress(_header(kind, claimed) + b"1" * claimed, compresslevel=1)
    registry.serve_image([(digest_of(content), content)])
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageError):  # a long name may be left out
            assert pythons(registry, tmp_path) == {}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < claimed / 4


def test_answers_are_not_unpacked(registry: FakeRegistry, tmp_path: Path) -> None:
    """A manifest of ten kilobytes that claims to be packed, and would unpack to ten megabytes."""
    packed = gzip.compress(b"{" + b" " * (10 << 20) + b"}")
    registry.answers["GET", "/v2/team/python/manifests/1"] = Answer(
        200, packed, {"Content-Type": OCI_MANIFEST, "Content-Encoding": "gzip"}
    )
    with pytest.raises(ImageError, match="JSON"):
        pythons(registry, tmp_path)


def _wants_password(registry: FakeRegistry, method: str, path: str, then: Answer) -> None:
    """Answer a request with 401 until it comes with the password."""
    asked = Answer(401, b"", {"WWW-Authenticate": 'Basic realm="r"'})
    registry.answers[method, f"/v2/{path}"] = lambda got: then if got.authorization else asked


def _upload_at(registry: FakeRegistry, location: str) -> None:
    _wants_password(registry, "POST", "team/python/blobs/uploads/", Answer(202, b"", {"Location": location}))


def test_an_upload_at_the_registry_itself_goes_on_with_credentials(registry: FakeRegistry) -> None:
    for location in ("/v2/team/python/blobs/uploads/7?state=x", f"http://{registry.host}/up/7"):
        _upload_at(registry, location)
        path = location.removeprefix(f"http://{registry.host}").partition("?")[0]
        registry.answers["PUT", path] = Answer(201)
        with client_of(registry) as client:
            client.push_blob(OTHER, 3, lambda: iter([b"abc"]))
        assert (registry.got[-1].body, registry.got[-1].authorization is not None) == (b"abc", True)


@pytest.mark.parametrize(
    "location",
    [
        "http://{other}/up/7",
        "//{other}/up/7",
        "https://{own}/up",
        "ftp://{own}/x",
        "",
        "http://{own}@{other}/",
        "http:///x",
    ],
)
def test_neither_credentials_nor_content_follow_an_upload_to_another_address(
    registry: FakeRegistry, elsewhere: FakeRegistry, location: str
) -> None:
    elsewhere.answers["PUT", "/up/7"] = Answer(201)
    _upload_at(registry, location.format(own=registry.host, other=elsewhere.host))
    with client_of(registry) as client, pytest.raises(ImageError):
        client.push_blob(OTHER, 3, lambda: iter([b"abc"]))
    assert elsewhere.got == []


def test_an_upload_is_abandoned_at_the_registry_alone(registry: FakeRegistry, elsewhere: FakeRegistry) -> None:
    _upload_at(registry, f"http://{elsewhere.host}/up/7")
    with client_of(registry) as client, pytest.raises(ImageError):
        client.mount_blob(OTHER, "library/python")
    assert elsewhere.got == []

    _upload_at(registry, "/up/8")
    registry.answers["DELETE", "/up/8"] = Answer(307, b"", {"Location": f"http://{elsewhere.host}/up/8"})
    with client_of(registry) as client:
        assert client.mount_blob(OTHER, "library/python") is False
    assert (registry.got[-1].method, registry.got[-1].path) == ("DELETE", "/up/8")
    assert elsewhere.got == []


def test_an_upload_follows_no_redirect(registry: FakeRegistry, elsewhere: FakeRegistry) -> None:
    away = Answer(307, b"", {"Location": f"http://{elsewhere.host}/v2/team/python/blobs/uploads/"})
    _wants_password(registry, "POST", "team/python/blobs/uploads/", away)
    with client_of(registry) as client, pytest.raises(ImageError, match="redirect"):
        client.push_blob(OTHER, 3, lambda: iter([b"abc"]))
    _wants_password(registry, "PUT", "team/python/manifests/1", away)
    with client_of(registry) as client, pytest.raises(ImageError, match="redirect"):
        client.put_manifest("1", b"{}", OCI_MANIFEST)
    assert elsewhere.got == []


def test_a_download_goes_on_elsewhere_without_credentials(
    registry: FakeRegistry, elsewhere: FakeRegistry, tmp_path: Path
) -> None:
    content = layer(PYTHON)
    registry.serve_image([(digest_of(content), content)])
    stored = f"http://{elsewhere.host}/bucket/blob"
    _wants_password(registry, "GET", f"team/python/blobs/{digest_of(content)}", Answer(307, b"", {"Location": stored}))
    elsewhere.answers["GET", "/bucket/blob"] = Answer(200, content)
    assert pythons(registry, tmp_path) == {f"/{PYTHON}": 11}
    assert elsewhere.authorizations() == {None}

    # Storage that asks for a password gets none, whatever realm it names.
    for challenge in ('Basic realm="r"', f'Bearer realm="http://{elsewhere.host}/token"'):
        elsewhere.answers["GET", "/bucket/blob"] = Answer(401, b"", {"WWW-Authenticate": challenge})
        with pytest.raises(ImageError):
            pythons(registry, tmp_path / "new")
    assert elsewhere.authorizations() == {None}


@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "file:///etc/passwd", "http://0.0.0.0:1/"],
)
def test_a_download_does_not_go_on_at_addresses_of_the_link(
    registry: FakeRegistry, tmp_path: Path, location: str
) -> None:
    content = layer(PYTHON)
    registry.serve_image([(digest_of(content), content)])
    registry.answers["GET", f"/v2/team/python/blobs/{digest_of(content)}"] = Answer(302, b"", {"Location": location})
    with pytest.raises(ImageError, match=r"wants the download|names the address"):
        pythons(registry, tmp_path)


def test_redirects_in_a_circle_end(registry: FakeRegistry) -> None:
    path = "/v2/team/python/manifests/1"
    registry.answers["GET", path] = Answer(302, b"", {"Location": path})
    with client_of(registry) as client, pytest.raises(ImageError, match="more than 5 times"):
        client.manifest("1")


def _asks_for_token(registry: FakeRegistry, realm: str) -> None:
    challenge = f'Bearer realm="{realm}",service="r",scope="repository:team/python:pull"'
    asked = Answer(401, b"", {"WWW-Authenticate": challenge})
    good = Answer(200, b"{}", {"Content-Type": OCI_MANIFEST})
    registry.answers["GET", "/v2/team/python/manifests/1"] = lambda got: good if got.authorization else asked


def test_a_token_is_asked_for_where_the_registry_says_and_goes_to_the_registry_alone(
    registry: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    _asks_for_token(registry, f"http://{elsewhere.host}/token")
    elsewhere.answers["GET", "/token"] = Answer(200, b'{"token": "abc"}')
    with client_of(registry) as client:
        assert client.manifest("1").content == b"{}"
    assert registry.authorizations() == {None, "Bearer abc"}
    assert [one.authorization for one in elsewhere.got] == [
        f"Basic {RegistryCredentials('r', 'ada', SECRET).secrets[1]}"
    ]


@pytest.mark.parametrize(
    "realm", ["http://localhost:{port}/token", "http://127.0.0.1:{port}@evil/", "ftp://x/", "token"]
)
def test_the_password_goes_to_no_other_host_without_encryption(
    registry: FakeRegistry, elsewhere: FakeRegistry, realm: str
) -> None:
    _asks_for_token(registry, realm.format(port=elsewhere.host.rpartition(":")[2]))
    with client_of(registry) as client, pytest.raises(ImageError):
        client.manifest("1")
    assert elsewhere.got == []


def test_the_password_follows_no_redirect_of_the_token_service(registry: FakeRegistry, elsewhere: FakeRegistry) -> None:
    _asks_for_token(registry, f"http://{registry.host}/token")
    registry.answers["GET", "/token"] = Answer(307, b"", {"Location": f"http://{elsewhere.host}/token"})
    elsewhere.answers["GET", "/token"] = Answer(200, b'{"token": "abc"}')
    with client_of(registry) as client, pytest.raises(ImageError, match="refuses"):
        client.manifest("1")
    assert elsewhere.got == []


@pytest.mark.parametrize("token", ['"a\\r\\nX-Evil: 1"', '"\\u00e9"', "7", '""', f'"{"a" * 70_000}"'])
def test_a_token_that_is_none_is_not_used_and_not_shown(registry: FakeRegistry, token: str) -> None:
    _asks_for_token(registry, f"http://{registry.host}/token")
    registry.answers["GET", "/token"] = Answer(200, b'{"token": %s}' % token.encode())
    with client_of(registry) as client, pytest.raises(ImageError) as caught:
        client.manifest("1")
    assert "X-Evil" not in str(caught.value)
    assert registry.authorizations() - {None} == {f"Basic {RegistryCredentials('r', 'ada', SECRET).secrets[1]}"}


def test_errors_of_a_registry_are_shortened_and_hold_no_escapes(registry: FakeRegistry) -> None:
    registry.answers["GET", "/v2/team/python/manifests/1"] = Answer(500, b"\x1b]0;PWNED\x07 sorry" + bytes(NOISE))
    with client_of(registry) as client, pytest.raises(ImageError, match="sorry") as caught:
        client.manifest("1")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("version", ["1/../../other", "1?x=y", "1#x", "../blobs/x", "", "sha256:1", "a\nb", "-" * 200])
def test_a_version_is_a_tag_or_a_digest(registry: FakeRegistry, version: str) -> None:
    with client_of(registry) as client, pytest.raises(ImageError):
        client.manifest(version)
    assert registry.got == []


def test_what_other_layers_say_of_addresses_is_not_passed_on(registry: FakeRegistry) -> None:
    from mljupyter.build.images.oci.manifest import image_manifest

    content = layer(PYTHON)

    def change(manifest: dict[str, Any]) -> None:
        manifest["layers"][0] |= {"urls": ["http://127.0.0.1:1/x"], "annotations": {"a": "b"}, "x": 1}

    registry.serve_image([(digest_of(content), content)], change=change)
    with client_of(registry) as client:
        base = read_base_image(client, "1", "linux/amd64")
    written = json.loads(image_manifest(base.layers, OTHER, 1, []))
    assert written["layers"] == [{"mediaType": LAYER, "digest": digest_of(content), "size": len(content)}]
