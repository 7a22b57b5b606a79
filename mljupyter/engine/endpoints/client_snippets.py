"""Client snippets: how other programs call an endpoint, as a URI, a curl command and Python code, without its key."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from mljupyter.spec.endpoint import Authentication
from mljupyter.spec.router import VERSION_HEADERS

PLACEHOLDER = '{"data": [[1, 2, 3]]}'
_VARIABLES = {Authentication.KEY: "SCORING_KEY", Authentication.TOKEN: "SCORING_TOKEN"}
REQUEST_FILE = "request.json"
"""The file that `curl` and `python` send where the sample is too long for a line."""
_MOST_BODY = 2000  # characters; the numbers of a longer sample are rounded
_OPEN_FILE = f'json.load(open("{REQUEST_FILE}"))'
_DIGITS = 4  # significant ones, of rounded numbers


@dataclass(frozen=True)
class ClientSnippets:
    """How other programs call an endpoint; nothing in it is secret.

    Parameters:
        uri: the scoring URI.
        key_hint: how to put the key or token into the variable that `curl` and `python` read; empty if none is needed.
        request_hint: how to write the example of the endpoint into the file that `curl` and `python` send; empty if
            they have the sample themselves.
        curl: a command of a POSIX shell.
        python: a program that needs the package requests.

    """

    uri: str
    key_hint: str
    request_hint: str
    curl: str
    python: str


def client_snippets(
    uri: str,
    authentication: Authentication,
    name: str,
    *,
    body: str = PLACEHOLDER,
    version: str | None = None,
    authority_file: str | None = None,
    swagger_uri: str | None = None,
) -> ClientSnippets:
    """Return how other programs call an endpoint.

    Parameters:
        uri: the scoring URI.
        authentication: what a request needs.
        name: the name of the endpoint.
        body: a sample request, as JSON text; what is no JSON is replaced by a placeholder. The numbers of a long one
            are rounded; if it is still too long, the snippets send a file instead.
        version: send the requests to this version; None for the endpoint's own choice.
        authority_file: the certificate to trust, a path; None if the system trusts that of the endpoint.
        swagger_uri: where the description of its API is, if the sample is its example.

    Example:
        >>> print(client_snippets("http://127.0.0.1:5001/score", Authentication.NONE, "iris").curl)
        curl http://127.0.0.1:5001/score \\
          -H 'Content-Type: application/json' \\
          -d '{"data": [[1, 2, 3]]}'

    """
    value = _value(body)
    if len(json.dumps(value)) > _MOST_BODY:
        value = _rounded(value)
    long = len(json.dumps(value)) > _MOST_BODY
    variable = _VARIABLES.get(authentication)
    extra = {} if version is None else {VERSION_HEADERS[0]: version}
    trust = [] if authority_file is None else [f"--cacert {shlex.quote(authority_file)}"]
    headers = [] if variable is None else [f'-H "Authorization: Bearer ${variable}"']
    headers += [f"-H {shlex.quote(f'{header}: {text}')}" for header, text in extra.items()]
    data = shlex.quote(f"@{REQUEST_FILE}" if long else json.dumps(value))
    return ClientSnippets(
        uri,
        _key_hint(authentication, name),
        _request_hint(swagger_uri, [*trust, *headers]) if long and swagger_uri is not None else "",
        _curl(uri, *trust, "-H 'Content-Type: application/json'", *headers, f"-d {data}"),
        _python(uri, _OPEN_FILE if long else repr(value), variable, extra, authority_file),
    )


def _value(body: str) -> Any:
    """Return the value of a sample, or of the placeholder."""
    try:
        value = json.loads(body)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return json.loads(PLACEHOLDER)
    return value


def _rounded(value: Any) -> Any:
    """Return a sample whose floating-point numbers have few digits."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _key_hint(authentication: Authentication, name: str) -> str:
    command = {
        Authentication.KEY: f"get-keys --name {shlex.quote(name)} --query primaryKey",
        Authentication.TOKEN: f"get-access-token --name {shlex.quote(name)}",
    }.get(authentication)
    variable = _VARIABLES.get(authentication)
    return "" if command is None else f'export {variable}="$(mljupyter service {command} --output tsv)"'


def _request_hint(swagger_uri: str, options: list[str]) -> str:
    """Return the command that writes the example in a description into the file."""
    code = (
        "import json, sys; found = json.load(sys.stdin); "
        'schemas = found.get("definitions") or found["components"]["schemas"]; '
        'print(json.dumps(schemas["ServiceInput"]["example"]))'
    )
    return _curl(swagger_uri, *options, f"| python3 -c {shlex.quote(code)} > {REQUEST_FILE}")


def _curl(uri: str, *options: str) -> str:
    return " \\\n  ".join([f"curl {shlex.quote(uri)}", *options])


def _python(uri: str, value: str, variable: str | None, extra: dict[str, str], authority_file: str | None) -> str:
    headers = [f"{header!r}: {text!r}" for header, text in extra.items()]
    if variable is not None:
        headers.insert(0, f'"Authorization": f"Bearer {{os.environ[\'{variable}\']}}"')
    modules = ["import json"] if value == _OPEN_FILE else []
    modules += ["import os"] if variable is not None else []
    lines = [
        *modules,
        *([""] if modules else []),
        "import requests",
        "",
        "answer = requests.post(",
        f"    {uri!r},",
        f"    json={value},",
        *([f"    headers={{{', '.join(headers)}}},"] if headers else []),
        *([f"    verify={authority_file!r},"] if authority_file is not None else []),
        "    timeout=60,",
        ")",
        "answer.raise_for_status()",
        "print(answer.json())",
    ]
    return "\n".join(lines)
