from __future__ import annotations

import contextlib
import io
import json
import re
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.registry.descriptors import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    checked_digest,
    digest_for_platform,
    image_configuration,
    image_parts,
    is_index,
    parsed_json,
)
from mljupyter.build.images.registry.layer_names import layer_names

GOOD = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha256:",
        f"{GOOD}\n",
        f" {GOOD}",
        GOOD.upper(),
        GOOD[:-1],
        f"{GOOD}0",
        "sha256:/../../../../victim",
        GOOD.replace("0", "\u0660"),
        GOOD.replace("sha256", "sha512"),
        None,
        7,
        [GOOD],
        {"digest": GOOD},
    ],
)
def test_a_digest_has_one_form(value: Any) -> None:
    with pytest.raises(ImageError, match="is not a digest"):
        checked_digest(value)
    assert checked_digest(GOOD) == GOOD


@pytest.mark.parametrize(
    ("media_type", "document", "index"),
    [
        (OCI_INDEX, {}, True),
        (DOCKER_LIST, {"mediaType": DOCKER_LIST, "manifests": []}, True),
        (OCI_MANIFEST, {"layers": []}, False),
        ("application/json", {"mediaType": DOCKER_MANIFEST}, False),
        ("", {"mediaType": OCI_INDEX}, True),
        (OCI_INDEX, {"mediaType": OCI_MANIFEST}, None),
        (OCI_INDEX, {"manifests": [], "layers": []}, None),
        (OCI_MANIFEST, {"manifests": [], "config": {}}, None),
        ("text/html", {}, None),
        ("", {"layers": [], "config": {}}, None),
        (OCI_MANIFEST, {"mediaType": 7}, None),
        (OCI_MANIFEST, {"schemaVersion": 1}, None),
    ],
)
def test_a_manifest_is_of_one_kind(media_type: str, document: dict[str, Any], index: bool | None) -> None:
    if index is None:
        with pytest.raises(ImageError):
            is_index(media_type, document)
    else:
        assert is_index(media_type, document) is index


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), st.just(GOOD)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["digest", "size", "mediaType", "layers", "config", "manifests", "platform", "os", "rootfs"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)


@settings(max_examples=80, deadline=None)
@given(JSON)
def test_any_json_is_parts_of_an_image_or_an_error_of_ours(value: Any) -> None:
    content = json.dumps(value).encode()
    for read in (
        lambda document: is_index("", document),
        image_parts,
        lambda document: digest_for_platform(document, "linux/amd64"),
        lambda document: image_configuration(json.dumps(document).encode(), 1),
    ):
        try:
            read(parsed_json(content, "It"))
        except ImageError as error:
            assert len(str(error)) < 500


@settings(max_examples=80, deadline=None)
@given(st.one_of(st.text(max_size=80), st.from_regex(r"sha256:[0-9a-f]{63,64}[0-9A-F/\n]?")))
def test_whatever_is_a_digest_is_safe_as_a_file_name(text: str) -> None:
    try:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", checked_digest(text))
    except ImageError:
        assert not re.fullmatch(r"sha256:[0-9a-f]{64}", text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(["gzip", "none"]))
def test_any_bytes_are_a_layer_or_an_error_of_ours(content: bytes, compression: str) -> None:
    chunks = iter([content[:700], content[700:]])
    with contextlib.suppress(ImageError):
        list(layer_names(chunks, compression))
    assert list(chunks) == []


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_names_are_those_of_the_archive(form: int) -> None:
    wanted = ["usr/bin/python3.11", "a/" + "b" * 60 + "/c", "link"]
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as archive:
        for name in wanted:
            member = tarfile.TarInfo(name)
            member.size = 700 if name != "link" else 0
            member.type = tarfile.REGTYPE if name != "link" else tarfile.SYMTYPE
            member.linkname = "x" * (120 if form != tarfile.USTAR_FORMAT else 20) if name == "link" else ""
            member.mtime = 1.5 if form == tarfile.PAX_FORMAT else 1
            archive.addfile(member, io.BytesIO(bytes(700)))
    assert list(layer_names(iter([raw.getvalue()]), "none")) == wanted


def test_a_file_too_large_for_a_plain_header_is_left_out_whole() -> None:
    """Such a size is in an extended header: what follows the file is read as what it is."""
    raw = io.BytesIO()
    large = tarfile.TarInfo("large")
    large.size = 1000
    extended = large.create_pax_header({**large.get_info(), "size": 0}, "utf-8")
    record = b"13 size=1000\n"
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    raw.write(header.tobuf() + record.ljust(512, b"\0") + extended + bytes(1024))
    raw.write(tarfile.TarInfo("after").tobuf() + bytes(1024))
    assert list(layer_names(iter([raw.getvalue()]), "none")) == ["large", "after"]


def test_a_layer_that_unpacks_to_too_much_is_refused() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        member = tarfile.TarInfo("x")
        member.size = 1 << 20
        archive.addfile(member, io.BytesIO(bytes(1 << 20)))
    with pytest.raises(ImageError, match="too large when unpacked"):
        list(layer_names(iter([raw.getvalue()]), "none", most_bytes=1 << 19))
