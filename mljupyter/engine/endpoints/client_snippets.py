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
_MOST_BODY = 2000  # characters; a longer sample is replaced by the placeholder


@dataclass(frozen=True)
class ClientSnippets:
    """How other programs call an endpoint; nothing in it is secret.

    Parameters:
        uri: the scoring URI.
        key_hint: how to put the key or token into the variable that `curl` and `python` read; empty if none is needed.
        curl: a command of a POSIX shell.
        python: a program that needs the package requests.

    """

    uri: str
    key_hint: str
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
) -> ClientSnippets:
    """Return how other programs call an endpoint.

    Parameters:
        uri: the scoring URI.
        authentication: what a request needs.
        name: the name of the endpoint.
        body: a sample request, as JSON text; what is no JSON or too long is replaced by a placeholder.
        version: send the requests to this version; None for the endpoint's own choice.
        authority_file: the certificate to trust, a path; None if the system trusts that of the endpoint.

    Example:
        >>> print(client_snippets("http://127.0.0.1:5001/score", Authentication.NONE, "iris").curl)
        curl http://127.0.0.1:5001/score \\
          -H 'Content-Type: application/json' \\
          -d '{"data": [[1, 2, 3]]}'

    """
    value = _value(body)
    variable = _VARIABLES.get(authentication)
    extra = {} if version is None else {VERSION_HEADERS[0]: version}
    return ClientSnippets(
        uri,
        _key_hint(authentication, name),
        _curl(uri, value, variable, extra, authority_file),
        _python(uri, value, variable, extra, authority_file),
    )


def _value(body: str) -> Any:
    """Return the value of a sample, or of the placeholder."""
    try:
        value = json.loads(body if len(body) <= _MOST_BODY else PLACEHOLDER)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return json.loads(PLACEHOLDER)
    return value


def _key_hint(authentication: Authentication, name: str) -> str:
    command = {
        Authentication.KEY: f"get-keys --name {shlex.quote(name)} --query primaryKey",
        Authentication.TOKEN: f"get-access-token --name {shlex.quote(name)}",
    }.get(authentication)
    variable = _VARIABLES.get(authentication)
    return "" if command is None else f'export {variable}="$(mljupyter service {command} --output tsv)"'


def _curl(uri: str, value: Any, variable: str | None, extra: dict[str, str], authority_file: str | None) -> str:
    words = [f"curl {shlex.quote(uri)}"]
    if authority_file is not None:
        words.append(f"--cacert {shlex.quote(authority_file)}")
    words.append("-H 'Content-Type: application/json'")
    if variable is not None:
        words.append(f'-H "Authorization: Bearer ${variable}"')
    words += [f"-H {shlex.quote(f'{header}: {text}')}" for header, text in extra.items()]
    words.append(f"-d {shlex.quote(json.dumps(value))}")
    return " \\\n  ".join(words)


def _python(uri: str, value: Any, variable: str | None, extra: dict[str, str], authority_file: str | None) -> str:
    headers = [f"{header!r}: {text!r}" for header, text in extra.items()]
    if variable is not None:
        headers.insert(0, f'"Authorization": f"Bearer {{os.environ[\'{variable}\']}}"')
    lines = [
        *(["import os", ""] if variable is not None else []),
        "import requests",
        "",
        "answer = requests.post(",
        f"    {uri!r},",
        f"    json={value!r},",
        *([f"    headers={{{', '.join(headers)}}},"] if headers else []),
        *([f"    verify={authority_file!r},"] if authority_file is not None else []),
        "    timeout=60,",
        ")",
        "answer.raise_for_status()",
        "print(answer.json())",
    ]
    return "\n".join(lines)
