"""%mlj attach and %mlj detach: variables on the line, and what is refused before a cluster is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.files import write_whole
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.sources.expressions import expanded, unexpanded
from tests.magics.conftest import Shell

VALUES = {"name": "team", "folder": Path("/etc/my clusters"), "n": 3, "paths": {"a b": "x.yaml"}, "rows": [1]}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("$name", "team"),
        ("{name}-{n}", "team-3"),
        ("{folder}/$name.yaml", "/etc/my clusters/team.yaml"),
        ('{paths["a b"]}', "x.yaml"),
        ("{folder / 'one'}", "/etc/my clusters/one"),
        ("$$name {{n}}", "$name {n}"),
        ("100$", "100$"),
    ],
)
def test_variables_and_expressions_are_replaced(text: str, meant: str) -> None:
    assert expanded(text, VALUES) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$nam", r"\$nam in '\$nam' has no value: There is no variable 'nam'. Did you mean 'name'\?"),
        ("{paths['c']}", "has no value: .*KeyError"),
        ("{rows}", "is a list: it must be text, a number or a path"),
        ("{}", "no variable between the braces"),
        ("{1 +}", "has no value"),
    ],
)
def test_what_has_no_value_is_an_error_and_never_silent(text: str, said: str) -> None:
    with pytest.raises(WrongInputError, match=said):
        expanded(text, VALUES)


@given(st.text())
def test_any_text_can_be_written_so_that_it_stays(text: str) -> None:
    assert expanded(unexpanded(text), {}) == text


def test_a_line_of_attach_takes_variables(shell: Shell) -> None:
    shell.run("from pathlib import Path\nfolder, name = Path('/no where'), 'team'")
    for word in ("{folder / 'config'}", '"{folder}/config"', "{folder}/config"):
        assert "there is no kubeconfig at /no where/config" in shell.error(f"%mlj attach $name --kubeconfig {word}")
    assert "There is no variable 'nam'. Did you mean 'name'?" in shell.error("%mlj attach $nam --check")


def test_a_subnet_without_an_internal_load_balancer_is_refused(shell: Shell) -> None:
    said = shell.error("%mlj attach team --service-type LoadBalancer --subnet apps")
    assert "a subnet is that of an internal load balancer (--internal)" in said
    assert "must be 'LoadBalancer'" in shell.error("%mlj attach team --internal")


def test_options_of_an_ingress_or_a_route_are_refused_for_another_service(shell: Shell) -> None:
    said = shell.error("%mlj attach team --service-type NodePort --scoring-host ml.example.org")
    assert "scoring_host is given, and service_type is 'NodePort': it is for Ingress and HTTPRoute" in said
    assert "gateway is missing" in shell.error("%mlj attach team --service-type HTTPRoute")
    said = shell.error("%mlj attach team --service-type Ingress --annotation a")
    assert "annotation is 'a': it must be NAME=VALUE" in said


def test_a_claim_that_no_cluster_can_have_is_refused(shell: Shell) -> None:
    said = shell.error("%mlj attach team --collected-data-claim Data")
    assert "'Data' cannot name a PersistentVolumeClaim" in said


def attached(shell: Shell, tmp_path: Path, **fields: Any) -> Path:
    """Write the record of a cluster that no longer exists."""
    shell.run("%mlj workspace default --create -o ws")
    kubeconfig = tmp_path / "gone"
    context = {"name": "one", "context": {"cluster": "one", "user": "me"}}
    document = {
        "clusters": [{"name": "one", "cluster": {"server": "https://127.0.0.1:9"}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [context],
        "current-context": "one",
    }
    kubeconfig.write_text(json.dumps(document))
    record = {"name": "team", "type": "Kubernetes", "kubeconfig": str(kubeconfig), "context": "one"}
    path = Path(shell.variables["ws"].directory) / "clusters" / "team.json"
    path.parent.mkdir()
    write_whole(path, json.dumps({**record, "namespace": "mljupyter", "cluster": "uid", **fields}))
    return path


def test_a_cluster_out_of_reach_is_forgotten_only_when_asked(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = attached(shell, tmp_path)
    assert "cannot be reached" in shell.error("%mlj detach team")
    assert path.exists()
    shell.run("name = 'team'")
    assert shell.run("%mlj detach $name --forget").text() == "✓ team: forgotten; the cluster is unchanged"
    assert not path.exists()
    assert "ComputeTargetNotFound" in shell.error("%mlj detach team")


def test_targets_of_every_workspace_cannot_be_detached(shell: Shell) -> None:
    shell.run("%mlj workspace default --create -o ws")
    assert "local" in shell.error("%mlj detach local")


def test_check_of_an_attached_cluster_looks_at_that_one(shell: Shell, tmp_path: Path) -> None:
    attached(shell, tmp_path)
    text = shell.run("%mlj attach team --check").text()
    assert "https://127.0.0.1:9" in text  # not that of the default kubeconfig
