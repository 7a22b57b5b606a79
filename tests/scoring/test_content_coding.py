"""Compressed request bodies: decompressed within the limit, refused with their coding otherwise (RFC 9110, 8.4)."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator

import psutil
import pytest

from mljupyter.scoring.server.content_coding import MOST_MEMBERS, PIECE_BYTES, CodingError, decoder_for
from tests.scoring.conftest import ECHO, Replica
from tests.scoring.replicas import replica_of
from tests.waiting import wait_until

TEXT = '{"data": [[1.5, 2, 3]], "name": "Zürich"}'.encode()
MOST = 1_000_000
BOMB = gzip.compress(b" " * 50_000_000)
RAW_REQUEST = """
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        names = ("Content-Encoding", "Content-Length", "Transfer-Encoding")
        told = {name: request.headers.get(name) for name in names}
        return AMLResponse({"told": told, "text": request.get_data().decode()}, 200, json_str=True)
    """


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def decoded(coding: str, data: bytes, size: int = 1 << 20) -> bytes:
    decoder = decoder_for(coding.encode())
    assert decoder is not None
    pieces = [piece for start in range(0, len(data), size) for piece in decoder.feed(data[start : start + size])]
    assert all(len(piece) <= PIECE_BYTES for piece in pieces)
    decoder.finish(len(data))
    return b"".join(pieces)


CODED = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "old name": ("X-GZip", gzip.compress(TEXT)),
    "several members": ("gzip", gzip.compress(TEXT[:9]) + gzip.compress(b"") + gzip.compress(TEXT[9:])),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "without header": ("deflate", raw_deflate(TEXT)),
    "identity beside it": ("identity, gzip,", gzip.compress(TEXT)),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(("coding", "data"), CODED.values(), ids=CODED)
def test_a_body_is_decompressed_in_whatever_parts_it_comes(coding: str, data: bytes, size: int) -> None:
    assert decoded(coding, data, size) == TEXT


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw_deflate])
@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_large_body_comes_in_pieces_and_whole(pack: Callable[[bytes], bytes], size: int) -> None:
    coding = "gzip" if pack is gzip.compress else "deflate"
    assert decoded(coding, pack(b"a" * size)) == b"a" * size


@pytest.mark.parametrize("coding", ["", "identity", "Identity , ", ","])
def test_a_body_without_a_coding_is_left_as_it_is(coding: str) -> None:
    assert decoder_for(coding.encode()) is None


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "x" * 5000, "a\x80"])
def test_another_coding_is_refused_by_its_name_with_those_that_work(coding: str) -> None:
    with pytest.raises(CodingError, match="gzip or deflate") as refused:
        decoder_for(coding.encode("latin-1"))
    assert refused.value.status == 415
    assert repr(coding[:50])[1:-1] in str(refused.value)
    assert len(str(refused.value)) < 250
    assert (b"accept-encoding", b"gzip, deflate") in refused.value.headers


WHOLE = gzip.compress(TEXT)
DAMAGED = {
    "no gzip": ("gzip", TEXT, "no valid data"),
    "no deflate": ("deflate", b"\xff\xff\xff\xff", "no valid data"),
    "checksum": ("gzip", WHOLE[:-8] + b"\0\0\0\0" + WHOLE[-4:], "no valid data"),
    "cut off": ("gzip", WHOLE[:-3], "ends before"),
    "first byte": ("deflate", b"\x78", "ends before"),
    "rest of gzip": ("gzip", WHOLE + b"rest", "no valid data"),
    "rest of deflate": ("deflate", zlib.compress(TEXT) + b"rest", "goes on after"),
    "too many members": ("gzip", gzip.compress(b"") * (MOST_MEMBERS + 1), "more than 10,000 gzip members"),
}


@pytest.mark.parametrize(("coding", "data", "why"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_data_is_refused_and_never_taken_for_a_shorter_body(coding: str, data: bytes, why: str) -> None:
    with pytest.raises(CodingError, match=why) as refused:
        decoded(coding, data)
    assert refused.value.status == 400
    assert repr(coding) in str(refused.value)


@pytest.fixture(scope="module")
def replica() -> Iterator[Replica]:
    with replica_of(RAW_REQUEST, "--max-body-bytes", str(MOST)) as found:
        yield found


@pytest.mark.parametrize(("coding", "data"), CODED.values(), ids=CODED)
def test_the_script_gets_the_body_as_if_it_had_been_sent_so(replica: Replica, coding: str, data: bytes) -> None:
    told = {"Content-Encoding": None, "Content-Length": str(len(TEXT)), "Transfer-Encoding": None}
    expected = {"told": told, "text": TEXT.decode()}
    assert replica.score(data, **{"content-encoding": coding}).json() == expected
    chunked = replica.new_client().post("/score", content=iter([data]), headers={"content-encoding": coding})
    assert chunked.json() == expected


def test_an_empty_body_is_empty_in_every_coding(replica: Replica) -> None:
    for coding in ("gzip", "deflate", "identity", ""):
        assert replica.score(b"", **{"content-encoding": coding}).json()["text"] == "", coding


def test_a_bomb_is_refused_with_413_and_takes_no_memory(replica: Replica) -> None:
    before = psutil.Process(replica.process.pid).memory_info().rss
    endless = b"\x78\x9c" + b"\0\0\0\xff\xff" * (MOST // 4)  # blocks of deflate without content
    for coding, data in (("gzip", BOMB), ("deflate", zlib.compress(b"0" * (MOST + 1))), ("deflate", endless)):
        refused = replica.score(data, **{"content-encoding": coding})
        assert (refused.status_code, refused.json()["code"]) == (413, "PayloadTooLarge")
        assert str(MOST) in refused.json()["message"]
    chunked = replica.new_client().post("/score", content=iter([BOMB]), headers={"content-encoding": "gzip"})
    assert chunked.status_code == 413
    assert psutil.Process(replica.process.pid).memory_info().rss - before < 20 * MOST
    most = zlib.compress(b"0" * MOST)
    assert replica.score(most, **{"content-encoding": "deflate"}).json()["text"] == "0" * MOST


def test_refusals_of_codings_are_answers_like_others(replica: Replica) -> None:
    unknown = replica.score(TEXT, **{"content-encoding": "br"})
    assert (unknown.status_code, unknown.json()["code"]) == (415, "UnsupportedMediaType")
    assert unknown.headers["accept-encoding"] == "gzip, deflate"
    twice = replica.new_client().post(
        "/score", content=WHOLE, headers=[("content-encoding", "gzip"), ("content-encoding", "gzip")]
    )
    assert twice.status_code == 415
    damaged = replica.score(TEXT, **{"content-encoding": "gzip"})
    assert (damaged.status_code, damaged.json()["code"]) == (400, "BadRequest")
    assert replica.score("still there").json()["text"] == "still there"


def test_collected_data_are_those_of_the_decompressed_body(serve: Callable[..., Replica]) -> None:
    storage = {"AML_MODEL_DC_STORAGE_ENABLED": "true", "AML_MODEL_DC_STORAGE": "/nowhere"}
    environment = {"AML_APP_INSIGHTS_ENABLED": "true", **storage}
    replica = serve(ECHO, "--insights-file", "insights.jsonl", environment=environment)
    assert replica.score(gzip.compress(b"[1, 2]"), content_encoding="gzip", x_request_id="one").json() == "[1, 2]"

    def collected() -> list[str]:
        records = [json.loads(line) for line in (replica.directory / "insights.jsonl").read_bytes().split(b"\n")[:-1]]
        return [one["properties"]["Input"] for one in records if one.get("message") == "model_data_collection"]

    wait_until(collected, "the record of the request")
    assert collected() == ["[1, 2]"]
