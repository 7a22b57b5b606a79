"""From a line to values: splitting, types, errors that name the way out."""

from __future__ import annotations

import pytest

from mljupyter.magics.catalog import ATTACH, DEPLOY, INVOKE, LONG, SCORE, SHORT
from mljupyter.magics.magic import Magic
from mljupyter.magics.parsing import TOOLTIP_WIDTH, help_text, parse, split
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import WrongInputError, near
from mljupyter.notebook.sources.expressions import expanded

MAGIC = Magic(
    name="deploy",
    summary="Deploy something.",
    options=(
        Option("name", "name of the endpoint", metavar="NAME", positional=True, required=True),
        Option("replicas", "fixed number", kind="integer", minimum=1),
        Option("memory", "GB", kind="gigabytes"),
        Option("cpu", "cores", kind="cores"),
        Option("timeout", "longest wait", kind="duration", default="5m"),
        Option("auth", "who may score", choices=("key", "none")),
        Option("model", "registered model", repeatable=True),
        Option("wait", "wait for it", kind="switch", default=True),
        Option("dry-run", "do nothing", kind="flag"),
        Option("output", "variable", short="-o", metavar="VAR"),
    ),
    example="%deploy diabetes",
    run=lambda call: None,
)


def values(line: str) -> dict[str, object]:
    parsed = parse(MAGIC, split(line))
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("diabetes -o result", ["diabetes", "-o", "result"]),
        ('diabetes --name "my model"', ["diabetes", "--name", "my model"]),
        ('diabetes {"data": [[1, 2]]} -o x', ["diabetes", '{"data": [[1, 2]]}', "-o", "x"]),
        ('diabetes ["it\'s", "{"]', ["diabetes", '["it\'s", "{"]']),
        ("diabetes '{\"a\": 1}'", ["diabetes", '{"a": 1}']),
        ("a#b #c", ["a#b", "#c"]),
        ("diabetes --grep [ -f", ["diabetes", "--grep", "[", "-f"]),
        ("diabetes --grep [a-c]+", ["diabetes", "--grep", "[a-c]+"]),
        ("", []),
    ],
)
def test_a_line_is_split_as_a_shell_does_and_json_stands_for_itself(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('diabetes "open', "closing quotation"),
        ("diabetes {'data': 1}", "not JSON"),
        ("diabetes {data", "not JSON"),
        ('diabetes {"a": 1}x', "space must follow"),
    ],
)
def test_a_line_that_cannot_be_split_says_why(line: str, said: str) -> None:
    with pytest.raises(WrongInputError) as caught:
        split(line)
    assert said in caught.value.message
    assert len(caught.value._render_traceback_()[0].splitlines()) <= 5


EXPRESSIONS = [
    "X[:2].to_dict('records')",
    "X[['age','sex']]",
    "X[['age', 'sex']]",
    'd.get("k", {})["a b"]',
    "(a + b)",
    "{'data': X[:2].tolist()}",
    "[row for row in rows]",
    "'a,b'.split(',')",
    "f'{a}'",
    "f'{d[\"a b\"]}'",
    "X[(X.age > 3) & (X.sex != 'f')]",
    "lambda:0",
    "not_closed['a",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_is_a_word_as_python_reads_it(text: str) -> None:
    assert split(f"diabetes {text}", INVOKE) == ["diabetes", text]
    if text != EXPRESSIONS[-1]:
        assert split(f"diabetes {text} -o result", INVOKE) == ["diabetes", text, "-o", "result"]
        assert split(f"diabetes --sample {text} --quiet", SCORE) == ["diabetes", "--sample", text, "--quiet"]
        assert split(f"diabetes --sample={text} --quiet", SCORE) == ["diabetes", f"--sample={text}", "--quiet"]
        assert split(f"diabetes {text} --sample {text}", DEPLOY) == ["diabetes", text, "--sample", text]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("diabetes 'X[:2]'", ["diabetes", "X[:2]"]),
        ('diabetes "X[ :2]" --json', ["diabetes", "X[ :2]", "--json"]),
        ('diabetes {"data": [[1, 2]]} -o x', ["diabetes", '{"data": [[1, 2]]}', "-o", "x"]),
        ("diabetes '{\"a\": 1}'", ["diabetes", '{"a": 1}']),
        ('diabetes @"a b.json"', ["diabetes", "@a b.json"]),
        ("diabetes X + 1", ["diabetes", "X", "+", "1"]),
        ("'a b' -o c", ["a b", "-o", "c"]),
    ],
)
def test_a_word_that_is_all_quoted_loses_its_quotes_in_the_place_of_an_expression_too(
    line: str, words: list[str]
) -> None:
    assert split(line, INVOKE) == words


def test_what_is_neither_json_nor_python_is_no_word() -> None:
    with pytest.raises(WrongInputError, match="is not JSON"):
        split('diabetes {"data": [1, 2}', INVOKE)


def test_an_expression_with_spaces_is_told_to_stand_in_parentheses() -> None:
    with pytest.raises(WrongInputError, match="an expression with spaces goes into parentheses"):
        parse(INVOKE, split("diabetes X + 1", INVOKE))


def test_expressions_in_braces_have_quotes_and_brackets_of_python() -> None:
    line = """team --kubeconfig {paths['a b}']}/{names["x"]} --prefix $one"""
    words = split(line, ATTACH)
    assert words == ["team", "--kubeconfig", "{paths['a b}']}/{names[\"x\"]}", "--prefix", "$one"]
    known = {"paths": {"a b}": "/etc"}, "names": {"x": 5}, "one": "p"}
    assert [expanded(word, known) for word in words] == ["team", "--kubeconfig", "/etc/5", "--prefix", "p"]


def test_values_get_their_types_and_units() -> None:
    parsed = values("diabetes --replicas 2 --memory 512Mi --cpu 500m --model a --model b:2 --no-wait --dry-run")
    assert (parsed["replicas"], parsed["memory"], parsed["cpu"]) == (2, 0.5, 0.5)
    assert (parsed["model"], parsed["wait"], parsed["dry_run"]) == (["a", "b:2"], False, True)


def test_what_is_not_given_has_its_default() -> None:
    parsed = values("diabetes")
    assert (parsed["timeout"], parsed["model"], parsed["wait"], parsed["output"]) == (300.0, [], True, None)


def test_repeatable_values_do_not_leak_from_one_line_into_the_next() -> None:
    assert values("diabetes --model a")["model"] == ["a"]
    assert values("diabetes")["model"] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("diabetes --replicas two", "--replicas: 'two' is not a whole number. See %deploy --help."),
        ("diabetes --replicas 0", "--replicas: 0 is below 1, the least allowed. See %deploy --help."),
        ("diabetes --timeout soon", "--timeout: 'soon' is not a duration, such as 30s, 5m or 1h. See %deploy --help."),
        ("diabetes --auth token", "--auth: 'token' is not one of key, none. See %deploy --help."),
        ("diabetes --replica 2", "--replica is not an option of %deploy. Did you mean '--replicas'?"),
        ("diabetes --num-replicas 2", "--num-replicas is not an option of %deploy. Did you mean '--replicas'?"),
        ("diabetes iris", "'iris' is one value too many: only NAME is expected. See %deploy --help."),
        ("diabetes -o", "--output: expected one argument. See %deploy --help."),
        ("--replicas 2", "Missing: NAME. See %deploy --help."),
    ],
)
def test_a_wrong_line_names_the_value_the_rule_and_the_way_out(line: str, said: str) -> None:
    with pytest.raises(WrongInputError) as caught:
        values(line)
    assert caught.value.message == said


def test_help_lists_every_option_with_default_and_choices() -> None:
    text = help_text(MAGIC)
    assert all(option.name in text for option in MAGIC.options)
    assert "(default 5m)" in text
    assert "--auth key|none" in text
    assert text.startswith("usage: %deploy")


@pytest.mark.parametrize("line", ["--help", "diabetes -h", "diabetes --replicas two --help"])
def test_help_is_given_wherever_it_is_asked_for(line: str) -> None:
    assert parse(MAGIC, split(line)) is None


def test_help_is_the_same_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = help_text(MAGIC)
    monkeypatch.setenv("COLUMNS", "40")
    assert help_text(MAGIC) == wide


def test_near_names_come_first_and_all_names_else() -> None:
    assert near("diabets", ["iris", "diabetes"]) == " Did you mean 'diabetes'?"
    assert near("xyz", ["iris", "diabetes"]) == " Known: diabetes, iris."
    assert near("xyz", []) == ""


@pytest.mark.parametrize("magic", [*SHORT, *LONG], ids=lambda magic: magic.name)
def test_help_at_the_cursor_fits_the_tooltip_of_jupyterlab(magic: Magic) -> None:
    lines = help_text(magic, TOOLTIP_WIDTH).partition("\nExample:")[0].splitlines()
    assert max(map(len, lines)) <= TOOLTIP_WIDTH
