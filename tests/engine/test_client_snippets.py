"""Client snippets: they are valid, complete, and hold no key."""

from __future__ import annotations

import ast
import json
import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.engine.endpoints.client_snippets import PLACEHOLDER, ClientSnippets, client_snippets
from mljupyter.spec.endpoint import Authentication

URI = "https://here:5001/api/v1/service/iris/score"


def posted(found: ClientSnippets) -> dict[str, ast.expr]:
    """Return the arguments of the only request in the Python snippet."""
    (call,) = (
        node
        for node in ast.walk(ast.parse(found.python))
        if isinstance(node, ast.Call) and "post" in ast.dump(node.func)
    )
    return {"uri": call.args[0], **{str(word.arg): word.value for word in call.keywords}}


def test_an_open_endpoint_needs_no_key() -> None:
    found = client_snippets(URI, Authentication.NONE, "iris")
    assert (found.uri, found.key_hint) == (URI, "")
    assert "Authorization" not in found.curl + found.python
    assert "import os" not in found.python


@pytest.mark.parametrize(
    ("authentication", "variable", "command"),
    [
        (Authentication.KEY, "SCORING_KEY", "mljupyter service get-keys --name iris --query primaryKey --output tsv"),
        (Authentication.TOKEN, "SCORING_TOKEN", "mljupyter service get-access-token --name iris --output tsv"),
    ],
)
def test_a_key_or_token_is_read_from_a_variable(authentication: Authentication, variable: str, command: str) -> None:
    found = client_snippets(URI, authentication, "iris")
    assert found.key_hint == f'export {variable}="$({command})"'
    assert f'"Authorization: Bearer ${variable}"' in found.curl
    assert f"os.environ['{variable}']" in found.python


@settings(max_examples=50)
@given(st.text(min_size=1), st.text(min_size=1), st.dictionaries(st.text(), st.text() | st.none() | st.booleans()))
def test_no_text_changes_what_the_snippets_do(uri: str, version: str, sample: dict[str, object]) -> None:
    body = json.dumps(sample)
    found = client_snippets(uri, Authentication.KEY, "iris", body=body, version=version, authority_file=uri)
    words = shlex.split(found.curl.replace(" \\\n  ", " "))
    assert words[:4] == ["curl", uri, "--cacert", uri]
    assert (json.loads(words[-1]) == sample) if len(body) <= 2000 else (words[-1] == "@request.json")
    assert f"azureml-model-deployment: {version}" in words
    arguments = posted(found)
    assert ast.literal_eval(arguments["uri"]) == uri
    assert ast.literal_eval(arguments["verify"]) == uri
    if len(body) <= 2000:
        assert ast.literal_eval(arguments["json"]) == sample


@pytest.mark.parametrize("body", ["no json", "[NaN]", "[" * 100_000])
def test_a_sample_that_is_no_json_is_replaced(body: str) -> None:
    assert shlex.split(client_snippets(URI, Authentication.NONE, "iris", body=body).curl)[-1] == PLACEHOLDER


def test_the_numbers_of_a_long_sample_are_rounded_and_a_short_one_stays_exact() -> None:
    def sent(row: list[float]) -> object:
        found = client_snippets(URI, Authentication.NONE, "iris", body=json.dumps({"data": [row]}))
        return json.loads(shlex.split(found.curl.replace(" \\\n  ", " "))[-1])

    assert sent([1 / 3] * 4) == {"data": [[1 / 3] * 4]}
    assert sent([1 / 3, 12345678.9, 7, *[2 / 3] * 150]) == {"data": [[0.3333, 12350000.0, 7, *[0.6667] * 150]]}


def test_a_sample_that_is_too_long_comes_from_a_file_with_the_command_that_writes_it() -> None:
    body = json.dumps(["x" * 5000])
    found = client_snippets(URI, Authentication.KEY, "iris", body=body, swagger_uri="https://here/swagger.json")
    assert found.curl.endswith("-d @request.json")
    assert 'json=json.load(open("request.json"))' in found.python
    assert found.python.startswith("import json\nimport os\n\nimport requests\n")
    assert found.request_hint.startswith('curl https://here/swagger.json \\\n  -H "Authorization: Bearer $SCORING_KEY"')
    assert found.request_hint.endswith("> request.json")
    own = client_snippets(URI, Authentication.KEY, "iris", body=body)
    assert (own.curl, own.request_hint) == (found.curl, "")
