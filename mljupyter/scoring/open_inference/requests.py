"""An inference request: its tensors, parameters and the outputs that it asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mljupyter.scoring.columns import MOST_NAMES, names_text
from mljupyter.scoring.open_inference.tensors import (
    BYTES,
    TYPES,
    Tensor,
    TensorError,
    check_fits,
    checked_shape,
    from_binary,
    from_json,
)

LENGTH_HEADER = "Inference-Header-Content-Length"
_UNSUPPORTED = {
    "shared_memory_region": "shared memory",
    "shared_memory_byte_size": "shared memory",
    "classification": "classification",
}


class Wanted(NamedTuple):
    """An output that a request asks for, and whether in binary form; None leaves that to the request."""

    name: str
    binary: bool | None


class Request(NamedTuple):
    """A checked inference request.

    Parameters:
        id: the client's own, empty if there is none.
        tensors: the inputs by name.
        parameters: those of the whole request.
        outputs: those that it asks for; empty for all.
        binary: whether outputs are sent in binary form unless they say otherwise.

    """

    id: str
    tensors: dict[str, Any]
    parameters: dict[str, Any]
    outputs: tuple[Wanted, ...]
    binary: bool


def request_of(headers: Mapping[str, str], body: bytes, inputs: Sequence[Tensor]) -> Request:
    """Return the request in a body; raise TensorError if it breaks a rule of the protocol or does not fit the model.

    Parameters:
        headers: the headers of the request, named as in `messages.request_meta`.
        body: JSON, then the data of tensors in binary form if `LENGTH_HEADER` says where they begin.
        inputs: those of the model.

    """
    length = _json_length(headers.get(LENGTH_HEADER.title()), len(body))
    members = _object_of(body[:length])
    identifier = members.get("id", "")
    if not isinstance(identifier, str):
        raise TensorError("the id of the request must be a string")
    parameters = _parameters(members, "the request")
    known = {tensor.name: tensor for tensor in inputs}
    given = members.get("inputs")
    if not isinstance(given, list):
        raise TensorError('the request has no list "inputs"')
    data = memoryview(body)[length:]
    offset = 0
    tensors: dict[str, Any] = {}
    for one in given:
        name, datatype, shape, own = _head(one)
        if name in tensors:
            raise TensorError(f"the request has two inputs {name!r}")
        expected = known.get(name)
        if expected is None:
            raise TensorError(f"the model has no input {name[:100]!r}; its inputs: {names_text(known, MOST_NAMES)}")
        check_fits(expected, datatype, shape)
        if "binary_data_size" in own:
            size = _size(name, own["binary_data_size"], len(data) - offset)
            if "data" in one:
                raise TensorError(f"the input {name!r} has both data and binary_data_size")
            tensors[name] = from_binary(name, datatype, shape, data[offset : offset + size])
            offset += size
        elif "data" in one:
            tensors[name] = from_json(name, datatype, shape, one["data"])
        else:
            raise TensorError(f"the input {name!r} has neither data nor the parameter binary_data_size")
    if offset != len(data):
        raise TensorError(f"the body has {len(data) - offset} bytes after the data of the last input")
    return Request(identifier, tensors, parameters, _outputs(members), _flag(parameters, "binary_data_output") is True)


def _json_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not (header.isascii() and header.isdigit()) or len(header) > 20 or int(header) > size:
        raise TensorError(
            f"{LENGTH_HEADER} is {header[:100]!r}; it must be the length of the JSON at the beginning of the body, "
            f"which has {size} bytes"
        )
    return int(header)


def _object_of(text: bytes) -> dict[str, Any]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TensorError(
            f"the request is not JSON: {error}. With binary data, {LENGTH_HEADER} is the length of the JSON before them"
        ) from None
    if not isinstance(members, dict):
        raise TensorError('the request must be a JSON object with a list "inputs"')
    return members


def _parameters(members: Mapping[str, Any], owner: str) -> dict[str, Any]:
    found = members.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise TensorError(f"the parameters of {owner} must be an object")
    for name, text in _UNSUPPORTED.items():
        if found.get(name):
            raise TensorError(f"{owner} has the parameter {name}, but {text} is not supported")
    return found


def _head(one: Any) -> tuple[str, str, tuple[int, ...], dict[str, Any]]:
    if not isinstance(one, dict) or not isinstance(one.get("name"), str):
        raise TensorError("each input must be an object with name, datatype, shape and data")
    name = one["name"]
    datatype = one.get("datatype")
    if not isinstance(datatype, str) or (datatype != BYTES and datatype not in TYPES):
        raise TensorError(
            f"the input {name[:100]!r} has the datatype {str(datatype)[:100]!r}; there are {', '.join((*TYPES, BYTES))}"
        )
    return name, datatype, checked_shape(name[:100], one.get("shape")), _parameters(one, f"the input {name[:100]!r}")


def _size(name: str, value: Any, left: int) -> int:
    if type(value) is not int or value < 0:
        raise TensorError(f"binary_data_size of the input {name!r} must be a whole number that is not negative")
    if value > left:
        raise TensorError(
            f"the input {name!r} has {str(value)[:100]} bytes by its binary_data_size; the body has only {left} left"
        )
    return value


def _outputs(members: Mapping[str, Any]) -> tuple[Wanted, ...]:
    found = members.get("outputs")
    if found is None:
        return ()
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in found
    ):
        raise TensorError("the outputs of the request must be a list of objects with a name")
    return tuple(
        Wanted(one["name"], _flag(_parameters(one, f"the output {one['name'][:100]!r}"), "binary_data"))
        for one in found
    )


def _flag(parameters: Mapping[str, Any], name: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise TensorError(f"the parameter {name} must be true or false")
    return value
