"""The fast `json.loads` of workers has the results and errors of the standard library, and can be turned off."""

from __future__ import annotations

import bisect
import io
import json
import random
import sys
import venv
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.scoring.worker import fast_json
from tests.fuzz.json_documents import document, fast, outcome, standard_loads
from tests.scoring.conftest import Replica

HARD = [
    *("0", "-0", "-0.0", "0.0", "-0e5", "0E+7", "1E400", "-1e400", "1e-400", "5e-324", "2.4703282292062327e-324"),
    *("2.2250738585072011e-308", "2.2250738585072014e-308", "1.7976931348623157e308", "1.7976931348623159e308"),
    *("9007199254740993", "9007199254740993.0", "0.1e1", "123e-2", "1e23", "8.5e22", "9.5367431640625e-7"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "-18446744073709551616", "10000000000000000000"),
    *("1" * 400, "1" * 4300, "1" * 4301, "-" + "9" * 5000, "0." + "3" * 900, "1" * 900 + ".5", "1" * 30 + "e-30"),
    *("01", "-01", "1.", ".5", "+1", "-", "--1", "1e", "1e+", "0x10", "1_0", "NaN", "Infinity", "-Infinity", "nan"),
    *('""', '"\\u0000"', '"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"', '"\\ud83dx"', '"\\ud800\\ud800"', '"\ud800"'),
    *('"\x7f"', '"\t"', '"\n"', '"\x00"', '"\\x41"', '"\\u12"', '"\\u+123"', '"\\u 123"', '"', '"a', '"\\', '"é中😀"'),
    *('{"a":1,"a":2}', '{"a":1,"b":2,"a":3}', '{"":0}', '{"a"}', '{"a":}', "{1:2}", '{"a":1,}', "{,}", "{", '{"a" 1}'),
    *("[", "]", "[1,]", "[,1]", "[1 2]", "[]]", "[1]x", "[] []", "", " ", " 1 ", "\f1", "\xa01", "1\x00", "\ufeff1"),
    *("true", "tru", "True", "null", "nulls", "falsetrue", "/* */1", "'a'", "[1,2", '[{"a":[1,{"b":null}]}]'),
]


@pytest.fixture(scope="module")
def loads() -> Iterator[Callable[[Any], Any]]:
    with fast() as function:
        yield function


@pytest.mark.parametrize("text", HARD)
def test_a_hard_document_has_the_value_or_the_error_of_the_standard_library(
    loads: Callable[[Any], Any], text: str
) -> None:
    # Short, inside others, and as long as documents that are parsed in another way.
    for whole in (text, f"[{text}]", f'{{"k": [{text}, {text}]}}', f"[{text}{' ' * 10_000}]", f"{' ' * 600}{text}\n\n"):
        assert outcome(loads, whole) == outcome(standard_loads, whole)


def test_random_documents_have_the_value_or_the_error_of_the_standard_library(loads: Callable[[Any], Any]) -> None:
    chance = random.Random(18)
    parsed = 0
    for _ in range(2000):
        made = document(chance)
        parsed += fast_json.MsgspecParser(fast_json.Library())(made) is not fast_json._UNSURE if parsed < 10 else 0
        assert outcome(loads, made) == outcome(standard_loads, made), made
    assert parsed == 10, "the documents are parsed by the standard library, which is compared with itself"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(values, st.sampled_from([None, 1]), st.booleans(), st.data())
def test_what_json_dumps_writes_is_read_as_by_the_standard_library(
    loads: Callable[[Any], Any], value: Any, indent: int | None, escaped: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    place = data.draw(st.integers(0, len(text)))
    damaged = text[:place] + data.draw(st.text(max_size=2)) + text[place + data.draw(st.integers(0, 2)) :]
    for whole in (text, damaged):
        assert outcome(loads, whole) == outcome(standard_loads, whole)


@pytest.mark.parametrize("levels_above", [0, 300])
@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a":', "}"), ('[{"a": ', "}]")])
def test_a_document_is_too_deep_exactly_where_it_is_for_the_standard_library(
    before: str, after: str, levels_above: int
) -> None:
    def below(levels: int, text: str) -> tuple[Any, ...]:
        return outcome(json.loads, text) if levels == 0 else below(levels - 1, text)

    def nested(depth: int) -> str:
        return before * depth + "1" + after * depth

    limit = bisect.bisect(range(1000), 0, key=lambda depth: below(levels_above, nested(depth))[0] is RecursionError)
    texts = [nested(depth) for depth in (1, limit // 2, *range(limit - 8, limit + 9), 1022, 1024, 1026)]
    wanted = [below(levels_above, text) for text in texts]
    assert {told[0] for told in wanted} == {"value", RecursionError}
    with fast():
        assert [below(levels_above, text) for text in texts] == wanted


def test_under_a_high_recursion_limit_deep_documents_are_left_to_the_standard_library(
    loads: Callable[[Any], Any],
) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        text = "[" * 5000 + "]" * 5000
        assert fast_json.MsgspecParser(fast_json.Library())(text) is fast_json._UNSURE
        assert loads(text) == standard_loads(text)
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize(
    "number",
    [
        "0." + "0" * 100_001 + "1e100001",
        "0." + "0" * 12_000 + "1e12000",
        "1" + "0" * 100_100 + ".0e-100100",
        "123" * 1500 + "." + "456" * 1800 + "e-100000",
    ],
)
def test_thousands_of_digits_with_an_exponent_that_makes_up_for_them_keep_their_value(
    loads: Callable[[Any], Any], number: str
) -> None:
    for text in (number, f"[{number}]", f'{{"some": "text", "x": [1, 2, {number}, 3]}}'):
        assert outcome(loads, text) == outcome(standard_loads, text)


DOCUMENT = '{"a": [1, 2.5, -0.0, "é", NaN], "b": {"c": null}, "a": 1e5}'


@pytest.mark.parametrize(
    "data",
    [
        *(
            DOCUMENT.encode(code)
            for code in ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le", "cp1252")
        ),
        bytearray(DOCUMENT.encode()),
        memoryview(DOCUMENT.encode()),
        b'"\xed\xa0\x80"',
        "\ufeff{}",
        type("Text", (str,), {})(DOCUMENT),
        type("Bytes", (bytes,), {})(DOCUMENT.encode()),
        *(None, 5, ["[]"], io.StringIO("[]")),
    ],
    ids=lambda data: f"{type(data).__name__}-{str(bytes(data) if type(data) is memoryview else data)[:24]!a}",
)
def test_all_kinds_of_input_are_read_or_refused_as_before(data: Any) -> None:
    wanted = outcome(standard_loads, data)
    with fast() as loads:
        assert outcome(loads, data) == wanted


class Decoder(json.JSONDecoder):
    def decode(self, s: str, *_: Any) -> Any:  # type: ignore[override] # as users write it
        return ["theirs", super().decode(s)]


@pytest.mark.parametrize(
    "options",
    [
        {"parse_float": Decimal},
        {"parse_int": str},
        {"parse_constant": str},
        {"object_hook": sorted},
        {"object_pairs_hook": list},
        {"strict": False},
        {"cls": Decoder},
        {"cls": None, "object_hook": None},
        {"unknown": 1},
    ],
    ids=str,
)
def test_options_have_the_effect_that_they_have_without_it(options: dict[str, Any]) -> None:
    def load(text: str) -> Any:
        return json.load(io.StringIO(text), **options)

    def loads(text: str) -> Any:
        return json.loads(text, **options)

    texts = (DOCUMENT, DOCUMENT.encode(), '["\t"]', "[1,")
    wanted = [outcome(function, text) for function in (load, loads) for text in texts]
    with fast():
        assert [outcome(function, text) for function in (load, loads) for text in texts] == wanted


def test_the_functions_and_the_decoder_class_stay_those_of_the_standard_library() -> None:
    before = json.loads, json.load, json.JSONDecoder, json.JSONDecoder.decode
    with fast():
        assert (json.loads, json.load, json.JSONDecoder, json.JSONDecoder.decode) == before
        assert json.JSONDecoder().decode("[NaN]") is not None
        assert type(json.JSONDecoder()) is json.JSONDecoder


def test_the_installed_msgspec_is_a_version_that_has_been_compared() -> None:
    # For a new one: `make fuzz-json`, then raise fast_json.NEWEST.
    version = tuple(int(part) for part in msgspec.__version__.split(".")[:2])
    assert fast_json.OLDEST <= version < fast_json.NEWEST


SCRIPT = """
    import sys
    from json import loads
    def init(): pass
    def run(data):
        before = "msgspec" in sys.modules
        value = loads(data)
        try:
            import msgspec
            found = True
        except ImportError:
            found = False
        return {"sum": sum(value), "before": before, "found": found}
"""
BODY = json.dumps([0.5] * 1000)


@pytest.mark.parametrize(
    ("setting", "told"), [("", f"with msgspec {msgspec.__version__}"), ("off", None), ("False", None)]
)
def test_a_script_gets_it_for_long_bodies_unless_the_setting_forbids_it(
    serve: Callable[..., Replica], setting: str, told: str | None
) -> None:
    replica = serve(SCRIPT, environment={"MLJUPYTER_FAST_JSON": setting, "AZUREML_LOG_LEVEL": "DEBUG"})
    assert replica.score("[1, 2]").json() == {"sum": 3, "before": False, "found": True}
    assert "json.loads" not in replica.log()
    assert replica.score(BODY).json()["sum"] == 500
    if told is None:
        assert "json.loads" not in replica.log()
    else:
        replica.wait_log(told)


def test_a_script_in_another_environment_uses_the_msgspec_of_the_server_and_does_not_see_it(
    serve: Callable[..., Replica], directory: Path
) -> None:
    venv.create(directory / "environment")
    python = str(directory / "environment" / "bin" / "python")
    replica = serve(SCRIPT, "--worker-python", python, environment={"AZUREML_LOG_LEVEL": "DEBUG"})
    assert replica.score(BODY).json() == {"sum": 500, "before": False, "found": False}
    replica.wait_log(f"with msgspec {msgspec.__version__}")


def test_an_environment_with_something_else_of_that_name_keeps_the_standard_library_and_the_log_says_so(
    serve: Callable[..., Replica], directory: Path
) -> None:
    (directory / "msgspec.py").write_text("raise SystemExit('a module of the user')")
    venv.create(directory / "environment")
    python = str(directory / "environment" / "bin" / "python")
    script = "import json\ndef init(): pass\ndef run(data): return sum(json.loads(data))\n"
    replica = serve(script, "--worker-python", python, environment={"AZUREML_LOG_LEVEL": "DEBUG"})
    assert replica.score(BODY).json() == 500
    replica.wait_log("json.loads is the standard library's: msgspec is not installed in the environment of the script")
