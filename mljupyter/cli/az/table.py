"""The old command lines of Azure, in one table: the command here, what has nothing to do, and what is not there.

The longest beginning of a command line that the table has decides. Words below ``ml`` that are not in it are the same
here: ``az ml model deploy`` is ``mljupyter model deploy``, with the same flags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_NO_CLOUD = "a workspace is a directory of this machine and needs no cloud account"
_NO_GROUP = "a workspace here needs no resource group"
_NO_TRAINING = "models are trained in notebooks and scripts here: mljupyter run submit-script"


@dataclass(frozen=True)
class Same:
    """A command that exists here.

    Parameters:
        words: the words of the command here, after ``mljupyter``.
        more: arguments to add.
        own: whether it exists only as a command of az.

    """

    words: str
    more: Sequence[str] = ()
    own: bool = False


@dataclass(frozen=True)
class Nothing:
    """A command that has nothing to do here, and succeeds. The reason is printed to standard error."""

    reason: str


@dataclass(frozen=True)
class Missing:
    """A command that is refused: the reason, and the way out."""

    reason: str


Row = Same | Nothing | Missing

TABLE: Mapping[str, Row] = {
    # Accounts, groups and the tool itself.
    "login": Nothing(_NO_CLOUD),
    "logout": Nothing(_NO_CLOUD),
    "account set": Nothing(_NO_CLOUD),
    "account clear": Nothing(_NO_CLOUD),
    "account show": Same("account show", own=True),
    "account list": Same("account list", own=True),
    "account get-access-token": Missing(
        "no cloud issues tokens here. A token for a web service: az ml service get-access-token -n NAME"
    ),
    "configure": Nothing("the workspace is that of .azureml/config.json, of -w NAME or of MLJUPYTER_WORKSPACE"),
    "config": Nothing("the workspace is that of .azureml/config.json, of -w NAME or of MLJUPYTER_WORKSPACE"),
    "extension": Nothing("the commands of azure-cli-ml are part of mljupyter"),
    "provider": Nothing("nothing needs to be registered"),
    "feature": Nothing("nothing needs to be registered"),
    "version": Same("version", own=True),
    "upgrade": Nothing("pip install --upgrade mljupyter"),
    "group create": Nothing(_NO_GROUP),
    "group show": Nothing(_NO_GROUP),
    "group exists": Nothing(_NO_GROUP),
    "group list": Nothing(_NO_GROUP),
    "group delete": Missing(
        f"{_NO_GROUP}. To delete what is in it: az ml service delete, computetarget delete, workspace delete"
    ),
    "group": Missing(_NO_GROUP),
    "ad": Missing("mljupyter has no cloud identities. Keys: az ml service get-keys; tokens: get-access-token"),
    "role": Missing("mljupyter has no cloud identities. Kubernetes RBAC controls the access to a cluster"),
    # Clusters.
    "aks show": Same("aks show", own=True),
    "aks list": Same("aks list", own=True),
    "aks get-credentials": Missing(
        "a cluster here is found by its kubeconfig, which you have; az ml computetarget get-credentials -n NAME prints "
        "that of an attached cluster"
    ),
    "aks create": Missing(
        "clusters are created with: mljupyter computetarget create NAME --provider kind|k3d|minikube|command|aks"
    ),
    "aks delete": Missing("a cluster that was created for the workspace: mljupyter computetarget delete NAME"),
    "aks scale": Missing("nodes belong to the cluster: use its own tool. Replicas: mljupyter endpoint scale"),
    "aks": Missing("use kubectl for the cluster itself; mljupyter computetarget check NAME checks it"),
    "acr credential": Missing("registries are used with the credentials of docker login"),
    "acr login": Missing("docker login HOST"),
    "acr": Missing("registries are used with docker; images of the workspace: mljupyter image list"),
    "iot": Missing("edge devices are not there yet"),
    # Azure Machine Learning.
    "ml computetarget detach": Same("computetarget detach", ("--yes",)),
    "ml computetarget delete": Same("computetarget delete", ("--yes",)),
    "ml computetarget create amlcompute": Missing(f"there is no training on clusters: {_NO_TRAINING}"),
    "ml computetarget create computeinstance": Missing(f"there is no training on clusters: {_NO_TRAINING}"),
    "ml computetarget create datafactory": Missing("there are no pipelines of a cloud"),
    "ml computetarget attach remote": Missing(f"there is no training on other machines: {_NO_TRAINING}"),
    "ml computetarget amlcompute": Missing(f"there is no training on clusters: {_NO_TRAINING}"),
    "ml computetarget computeinstance": Missing("notebooks run in your own Jupyter"),
    "ml endpoint realtime": Same("endpoint realtime"),
    "ml endpoint": Missing("online endpoints of v2 are not there; with versions as in v1: az ml endpoint realtime"),
    "ml experiment list": Same("run experiments"),
    "ml pipeline": Missing("there are no pipelines; scripts: az ml run submit-script"),
    "ml datastore": Missing("datastores are used from Python: ws.get_default_datastore()"),
    "ml dataset": Missing("datasets are used from Python: Dataset.Tabular.from_delimited_files(...)"),
    "ml workspace delete": Same("workspace delete", ("--yes",)),
    "ml workspace share": Missing("a workspace is a directory: its permissions say who may use it"),
    "ml workspace private-endpoint": Missing("a workspace is a directory, not a service of a network"),
    "ml workspace sync-keys": Nothing("a workspace has no keys of a storage account"),
    "ml workspace list-keys": Missing("a workspace has no keys. Those of a web service: az ml service get-keys"),
}

OLD_NAMES: Mapping[str, Mapping[str, str]] = {
    "image": {"--image-name": "--name", "--model-id": "--model", "--model-name": "--model"},
}
"""Flags of azure-cli-ml that have another name here, by the first word of the command here."""


def row_of(words: Sequence[str]) -> tuple[int, Row | None]:
    """Return the row for the words of a command line, and how many of them it has; None if there is none.

    Parameters:
        words: the words after ``az``, before the first option.

    Example:
        >>> row_of(["account", "set"])[0]
        2

    """
    for count in range(min(len(words), 4), 0, -1):
        row = TABLE.get(" ".join(words[:count]))
        if row is not None:
            return count, row
    return 0, None
