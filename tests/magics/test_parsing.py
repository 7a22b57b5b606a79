"""From a line to values: splitting, types, errors that name the way out."""

from __future__ import annotations

import pytest

from mljupyter.magics.magic import Magic
from mljupyter.magics.parsing import help_text, parse, split
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import WrongInputError, near

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
