"""Random JSON documents, valid and broken ones, parsed by the fast `json.loads` and by the standard library.

    python -m tests.fuzz.json_documents 2000000 [SEED]

The generator is plain `random`: it makes twenty times as many documents as Hypothesis in the same time. It prefers what
parsers get wrong: numbers halfway between two floats, subnormal ones, integers around 64 bits, long runs of digits,
lone surrogates, control characters, keys that occur twice, and damage of single characters.
"""

from __future__ import annotations

import contextlib
import json
import random
import struct
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from types import FunctionType
from typing import Any
from unittest.mock import patch

from mljupyter.scoring.worker import fast_json

STANDARD = json.JSONDecoder()
standard_loads: Callable[..., Any] = FunctionType(json.loads.__code__, {**vars(json), "_default_decoder": STANDARD})
"""`json.loads` with its own decoder, whatever is installed."""
standard_loads.__kwdefaults__ = json.loads.__kwdefaults__  # type: ignore[attr-defined] # it is a function
_SPACES = ("", "", "", "", " ", "\n", "\t", "\r", "  ", " \n\t\r ", "\u00a0", "\f", "\v")
_CHARACTERS = (
    *("a", "bc", "0", " ", "é", "ß", "€", "中", "😀", "\x7f", "\x80", "\ud800", "\udfff", "\x00", "\x1f", "\ufeff"),
    *(r"\n", r"\"", r"\\", r"\/", r"\b", r"\f", r"\r", r"\t", r"\u0041", r"\u00e9", r"\u0000", r"\ud83d\ude00"),
    *(r"\ud800", r"\udc00", r"\ud800\u0041", r"\ud800\ud800", r"\udc00\ud800", r"\uD83D\uDE00", r"\u12", r"\x41", "\\"),
)
_PLAIN = _CHARACTERS[:9] + _CHARACTERS[16:28]
_ODD_WORDS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "True",
    "None",
    "nul",
    "-",
    "+1",
    ".5",
    "1.",
    "01",
    "1e",
    "1e+",
    "--1",
    "0x10",
)
_DAMAGE = "[]{},:\"\\ \n-+.eE0123456789truefalsnNaIiy/'\x00\x1fé😀\ud800"
_INTEGERS = (2**31, 2**32, 2**53, 2**63, 2**64, 10**18, 10**19, 10**20, 10**30, 10**100)


def outcome(parse: Callable[[Any], Any], document: Any) -> tuple[Any, ...]:
    """Return everything that a caller can see of a result or an error; floats to the last bit, keys in order."""
    try:
        value = parse(document)
    except json.JSONDecodeError as error:
        told = (error.msg, error.pos, error.lineno, error.colno, error.args, error.doc == document)
        return type(error), *told, type(error.__context__), error.__cause__, error.__suppress_context__
    except (ValueError, RecursionError, TypeError) as error:
        return type(error), error.args
    return "value", repr(value)  # it tells -0.0, 1, 1.0 and True apart, and is exact for floats


@contextlib.contextmanager
def fast(smallest: int = 0) -> Iterator[Callable[[Any], Any]]:
    """Install the fast parser for documents of this length and more, and give a `json.loads` that uses it."""
    with (
        patch.object(json, "_default_decoder", STANDARD),
        patch.object(fast_json, "SMALLEST", smallest),
        patch.object(fast_json, "FIRST", smallest),
        patch.dict("os.environ", {"MLJUPYTER_FAST_JSON": ""}),
    ):
        fast_json.install()
        assert type(json._default_decoder) is fast_json.FastDecoder  # type: ignore[attr-defined]
        yield json.loads


def number(chance: random.Random) -> str:
    """Return a number, as JSON writes it."""
    kind = chance.randrange(12)
    sign = "-" if chance.random() < 0.3 else ""
    if kind == 0:
        return str(chance.randrange(-1000, 1000))
    if kind == 1:
        return str(chance.choice((1, -1)) * (chance.choice(_INTEGERS) + chance.randrange(-3, 4)))
    if kind == 2:
        return sign + _digits(chance, chance.choice((17, 18, 19, 20, 21, 25, 40, 400)))
    if kind in (3, 4):
        return repr(_any_float(chance))
    if kind == 5:
        return _halfway(chance)
    if kind == 6:
        return f"{sign}{_digits(chance, chance.randrange(1, 25))}.{'0' * chance.randrange(30)}{chance.randrange(10**9)}"
    if kind == 7:
        digits = _digits(chance, chance.randrange(1, 30))
        return f"{sign}{digits}{chance.choice('eE')}{chance.choice(('', '+', '-'))}{chance.randrange(400)}"
    if kind == 8:
        fraction = f"{chance.randrange(10**9)}{'0' * chance.randrange(30)}"
        return f"{sign}{chance.randrange(10)}.{fraction}e{chance.randrange(-345, 330)}"
    if kind == 9:
        return sign + chance.choice(
            ("0", "0.0", "0e5", "0.0e-999", "1e400", "1e-400", "5e-324", "2e-324", "1e5", "0E0")
        )
    if kind == 10:
        return f"{chance.uniform(-100, 100):.{chance.randrange(1, 20)}f}"
    exponent = chance.choice((99999, 100000, 12345678901234567890, 10001))
    return f"{sign}{_digits(chance, 2)}e{chance.choice('+-')}{exponent}"


def text(chance: random.Random, characters: tuple[str, ...]) -> str:
    """Return a string, as JSON writes it; some characters are not allowed there."""
    return '"' + "".join(chance.choices(characters, k=chance.choice((0, 1, 1, 2, 3, 8, 40)))) + '"'


def document(chance: random.Random) -> str:
    """Return a document; about half of them are valid."""
    careful = chance.random() < 0.6
    spaces = _SPACES[:10] if careful else _SPACES
    characters = _PLAIN if careful else _CHARACTERS

    def space() -> str:
        return chance.choice(spaces)

    def value(levels: int) -> str:
        kind = chance.randrange(10 if levels else 7)
        if kind < 4:
            return number(chance)
        if kind == 4:
            return text(chance, characters)
        if kind == 5:
            return chance.choice(("true", "false", "null"))
        if kind == 6:
            return chance.choice(_ODD_WORDS) if not careful and chance.random() < 0.2 else "null"
        count = chance.choice((0, 1, 2, 3, 6))
        if kind in (7, 8):
            items = [space() + value(levels - 1) + space() for _ in range(count)]
            return "[" + ",".join(items) + "]"
        keys = ['"a"', '"b"', '"a"', '"\\u0061"', text(chance, characters)]
        pairs = [space() + chance.choice(keys) + space() + ":" + space() + value(levels - 1) for _ in range(count)]
        return "{" + ",".join(pairs) + space() + "}"

    made = space() + value(3) + space()
    if chance.random() < 0.25:
        place = chance.randrange(len(made) + 1)
        made = made[:place] + chance.choice(("", chance.choice(_DAMAGE))) + made[place + chance.randrange(3) :]
    return made


def _digits(chance: random.Random, count: int) -> str:
    return str(chance.randrange(10 ** (count - 1), 10**count))


def _any_float(chance: random.Random) -> float:
    while True:
        (value,) = struct.unpack("<d", chance.getrandbits(64).to_bytes(8, "little"))
        if value - value == 0:
            return float(value)


def _halfway(chance: random.Random) -> str:
    """Return the exact middle between two floats, or a number that differs from it far behind the point."""
    bits = chance.choice((chance.getrandbits(62), chance.getrandbits(40), chance.getrandbits(52) | 1023 << 52))
    low, high = struct.unpack("<2d", bits.to_bytes(8, "little") + (bits + 1).to_bytes(8, "little"))
    if high - high != 0:
        return "1.7976931348623158079e308"
    with localcontext() as context:
        context.prec = 1200
        middle = (Decimal(low) + Decimal(high)) / 2
    digits = f"{middle:e}" if chance.random() < 0.5 else f"{middle:f}"
    mantissa, e, exponent = digits.partition("e")
    if chance.random() < 0.3 and "." in mantissa:
        mantissa = mantissa[: chance.randrange(mantissa.index(".") + 2, len(mantissa) + 1)]
    if chance.random() < 0.5 and "." in mantissa:
        mantissa += chance.choice(("0", "1", "0" * 40 + "1"))
    return mantissa + e + exponent


def main(arguments: list[str]) -> int:
    """Compare as many documents as asked for; return 1 at the first difference."""
    count = int(arguments[0]) if arguments else 100_000
    seed = int(arguments[1]) if len(arguments) > 1 else random.randrange(10**9)
    chance, start, values = random.Random(seed), time.monotonic(), 0
    with fast() as parse:
        for done in range(1, count + 1):
            made = document(chance)
            wanted = outcome(standard_loads, made)
            values += wanted[0] == "value"
            if outcome(parse, made) != wanted:
                print(f"seed {seed}, document {done}: {made!r}\n  {outcome(parse, made)}\n  {wanted}")
                return 1
            if done % 100_000 == 0:
                took = time.monotonic() - start
                print(f"{done:,} documents in {took:.0f} s, {values:,} of them valid; no difference", flush=True)
    print(f"seed {seed}: {count:,} documents, {values:,} of them valid; no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
