"""Fast `json.loads` for the scoring script: msgspec parses, and the standard library whenever the result may differ.

`json.loads` and `json.load` stay the functions of the standard library. Only the decoder that they use for calls
without options is replaced, so options, bytes in UTF-16, a byte order mark and errors are handled by the standard
library's own code. `json.JSONDecoder` is unchanged.

msgspec returns the same value or raises an error; then the standard library parses the document again. Two cases need
more care: how deep a document may be, and numbers of thousands of digits. `tests/scoring/test_fast_json.py` compares
both parsers, and the functions here say why each condition is there.
"""

# ruff: noqa: PTH110, PTH118
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from json.decoder import JSONDecodeError
from types import ModuleType
from typing import Any

from mljupyter.scoring.logs.diagnostics import write_record
from mljupyter.scoring.protocol import FAST_JSON, FAST_JSON_OFF, FAST_JSON_PACKAGE

SMALLEST = 500
"""Documents with fewer characters are parsed by the standard library: msgspec would save microseconds."""
FIRST = 4000
"""The least number of characters for which msgspec is imported: the import takes 1.4 MB and 13 ms."""
OLDEST, NEWEST = (0, 18), (0, 24)
"""The versions of msgspec whose results have been compared with the standard library: from OLDEST to before NEWEST."""

_UNSURE: Any = object()
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_LARGEST_COPY = 16_000_000
_LONG_DOCUMENT = 9_000
_DIGITS, _DIGITS_APART = 64, 4096
_USUAL_RECURSION_LIMIT = 3_000
# From Python 3.14 on, the size of the stack is the limit, and the two parsers need different amounts for a level.
_COUNTS_LEVELS = sys.version_info < (3, 14)
_SAFE_LEVELS = 500 if _COUNTS_LEVELS else 10_000


class FastDecoder(json.JSONDecoder):
    """A decoder with the results and errors of `json.JSONDecoder()`; `decode` is faster for long documents."""

    def __init__(self, parse: Callable[[str], Any]) -> None:
        super().__init__()
        self._parse = parse

    def decode(self, s: str, _w: Callable[..., Any] = _WHITESPACE.match) -> Any:
        """Return the value of a document; raise JSONDecodeError, with the position, if it is not valid JSON."""
        if type(s) is str and len(s) >= SMALLEST:
            try:
                value = self._parse(s)
            except RecursionError:  # there is no room for the call itself
                value = _UNSURE
            if value is not _UNSURE:
                return value
        # The text of the standard library's `decode`: a call of it would need one more level of the recursion limit.
        obj, end = self.raw_decode(s, idx=_w(s, 0).end())
        end = _w(s, end).end()
        if end != len(s):
            raise JSONDecodeError("Extra data", s, end)
        return obj


class Library:
    """The package msgspec, which is imported when it is first needed.

    Parameters:
        package: the directory of a msgspec outside the environment of the script, for one that has none; or empty.

    """

    def __init__(self, package: str = "") -> None:
        self._package = package
        self._module: ModuleType | None = None
        self._absent = False

    def get(self, *, needed: bool = True) -> ModuleType | None:
        """Return msgspec; None if there is none whose results are known, or it is not imported yet and not `needed`."""
        if self._module is not None or self._absent or not needed or _is_deep():
            return self._module
        try:
            module = _msgspec(self._package)
        except Exception as error:  # noqa: BLE001 (a package of the user's environment may raise anything)
            self._absent = True
            write_record("D", "azmlinfsrv", f"json.loads is the standard library's: {error}")
            return None
        write_record("D", "azmlinfsrv", f"json.loads parses long documents with msgspec {module.__version__}")
        self._module = module
        return module


class MsgspecParser:
    """Parses with msgspec, which it imports for its first document; a call returns `_UNSURE` if the result may differ.

    It is an object and not a function for its depth: a call of it takes at least as many levels of the recursion limit
    as the standard library takes between `decode` and its parser in C, which counts levels as msgspec does. So a
    document that is too deep for the standard library is too deep for msgspec.

    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._decode: Callable[[str | bytes], Any] | None = None
        self._errors: tuple[type[Exception], ...] = ()

    def __call__(self, text: str) -> Any:
        """Return the value of a document, or `_UNSURE`."""
        decode = self._decode or (self._load() if len(text) >= FIRST else None)
        if decode is None or _may_be_too_deep(text) or _may_have_long_number(text):
            return _UNSURE
        if not text.isascii() and len(text) > _LARGEST_COPY:
            return _UNSURE
        try:
            # Bytes, since a string would keep a copy in UTF-8 for as long as it lives.
            return decode(text if text.isascii() else text.encode())
        except self._errors:
            return _UNSURE

    def _load(self) -> Callable[[str | bytes], Any] | None:
        module = self._library.get()
        if module is None:
            return None
        self._errors = (module.MsgspecError, ValueError, RecursionError, MemoryError)
        self._decode = module.json.Decoder().decode
        return self._decode


_library: Library | None = None


def is_on() -> bool:
    """Return whether `install` has made something faster in this process."""
    return _library is not None


def msgspec(*, needed: bool) -> ModuleType | None:
    """Return msgspec; None if this is off, or it is absent, or it is not imported yet and not `needed` either."""
    return None if _library is None else _library.get(needed=needed)


def install() -> None:
    """Make `json.loads` and `json.load` faster in this process, unless the setting forbids it."""
    global _library
    package = os.environ.pop(FAST_JSON_PACKAGE, "")
    if os.environ.get(FAST_JSON) == FAST_JSON_OFF:
        return
    if type(_default_decoder()) is json.JSONDecoder and "_default_decoder" in json.loads.__code__.co_names:
        _library = Library(package)
        json._default_decoder = FastDecoder(MsgspecParser(_library))  # type: ignore[attr-defined] # it has no public name


def _default_decoder() -> Any:
    return getattr(json, "_default_decoder", None)


def _may_be_too_deep(text: str) -> bool:
    """Return whether the two parsers may differ in the depth that they support for a document of this text."""
    if _COUNTS_LEVELS and sys.getrecursionlimit() <= _USUAL_RECURSION_LIMIT:
        return False  # both count
    return text.count("[") + text.count("{") > _SAFE_LEVELS


def _may_have_long_number(text: str) -> bool:
    """Return whether a number may have more than 9,000 digits: msgspec takes exponents beyond 10,000 for 10,000.

    The value differs only if as many digits make up for the exponent. The longer half of them, before or after the
    point, covers at least one of the places that this looks at.
    """
    if len(text) < _LONG_DOCUMENT:
        return False
    return any(text[place : place + _DIGITS].isdecimal() for place in range(0, len(text), _DIGITS_APART))


def _is_deep() -> bool:
    """Return whether an import might exceed the recursion limit at this moment."""
    try:
        sys._getframe(sys.getrecursionlimit() // 2)
    except ValueError:
        return False
    return True


def _msgspec(package: str) -> ModuleType:
    """Return msgspec, of the environment of the script or, if that has none, of a directory; raise ImportError."""
    found = find_spec("msgspec")
    places = [] if found is None else list(found.submodule_search_locations or [])
    if any(_fits(place) for place in places):
        module = import_module("msgspec")
    elif found is None and _fits(package):
        module = _private(package)
    else:
        raise ImportError("msgspec is not installed in the environment of the script")
    version = tuple(int(part) for part in module.__version__.split(".")[:2])
    if not OLDEST <= version < NEWEST:
        raise ImportError(f"msgspec {module.__version__} has not been compared with it")
    return module


def _fits(directory: str) -> bool:
    """Return whether a directory has the package msgspec for this interpreter, and not something of this name."""
    return any(os.path.exists(os.path.join(directory, f"_core{suffix}")) for suffix in EXTENSION_SUFFIXES)


def _private(directory: str) -> ModuleType:
    """Import msgspec from a directory in such a way that the script does not find it."""
    spec = spec_from_file_location(
        "msgspec", os.path.join(directory, "__init__.py"), submodule_search_locations=[directory]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{directory} is not a package")
    module = module_from_spec(spec)
    sys.modules["msgspec"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "msgspec"]:
            del sys.modules[name]
    return module
