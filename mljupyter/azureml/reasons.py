"""Reasons: a sentence for each part of the SDK that is not there, with the way out."""

from __future__ import annotations

from dataclasses import dataclass

_PAGE = "docs/azureml.md lists every name."


@dataclass(frozen=True)
class Reason:
    """The reason why a part is not there, and what takes its place."""

    why: str
    instead: str


_CLUSTERS = Reason(
    "it manages training clusters of Azure, and mljupyter trains on none",
    "Submit scripts with compute_target='local' or AmlCompute. To deploy, use AksCompute or KubernetesCompute.",
)
_TRACKING = Reason(
    "this version of mljupyter keeps no experiments and runs",
    "Train in the notebook, track with MLflow if you need it, and register files with Model.register.",
)
_DATA = Reason(
    "this version of mljupyter has no datasets and datastores",
    "Read the files with pandas, and register what a model needs with Model.register.",
)
_STORAGE = Reason(
    "it is about storage and data flows of Azure",
    "Read the files with pandas, and register what a model needs with Model.register.",
)
_LOGIN = Reason(
    "there is no login to Azure: a workspace is a directory of this machine",
    "Leave the argument auth out.",
)
_TRAINING = Reason(
    "it starts training on clusters of Azure",
    "Train with the library itself, or submit a ScriptRunConfig, which runs here as a process; then Model.register.",
)
_NETWORK = Reason("it is about Azure's networks and encryption", "Leave the argument out.")
_ERROR_CLASS = Reason("nothing here raises it", "Catch AzureMLException, the base of all of these errors.")
_INTERPRETATION = Reason(
    "it is a library of its own, and not part of deployment", "Use the package interpret-community or shap."
)

_NAMES: dict[str, Reason] = {
    **dict.fromkeys(("Experiment", "Run", "RunConfiguration", "ScriptRun", "ScriptRunConfig"), _TRACKING),
    **dict.fromkeys(
        ("DockerConfiguration", "MpiConfiguration", "PyTorchConfiguration", "TensorflowConfiguration"), _TRAINING
    ),
    **dict.fromkeys(("Dataset", "Datastore", "FileDataset", "TabularDataset"), _DATA),
    "Keyvault": Reason("this version of mljupyter keeps no secrets for you", "Use the package keyring."),
    **dict.fromkeys(
        (
            *("AdlaCompute", "BatchCompute", "ComputeInstance", "DatabricksCompute"),
            *("DataFactoryCompute", "DsvmCompute", "HDInsightCompute", "RemoteCompute", "SynapseCompute"),
        ),
        _CLUSTERS,
    ),
    "LinkedService": Reason("it connects a workspace to Azure Synapse", "Leave it out."),
}
"""Reasons by the last part of a name."""

_PLACES: dict[str, Reason] = {
    "azureml.accel": Reason(
        "it serves models on FPGAs of Azure",
        "Deploy the model as ONNX, with Model.deploy and no inference_config.",
    ),
    "azureml.automl": _TRAINING,
    "azureml.contrib": Reason(
        "it was a preview package of Azure with a release of its own", "Remove the import if the notebook can."
    ),
    "azureml.contrib.interpret": _INTERPRETATION,
    "azureml.contrib.explain": _INTERPRETATION,
    "azureml.contrib.iot": Reason(
        "it deploys modules to devices of Azure IoT Edge",
        "Build the image with Model.package, and run it on the device.",
    ),
    "azureml.core.authentication": _LOGIN,
    "azureml.core.compute": _CLUSTERS,
    "azureml.core.run": Reason("it reads runs of Azure", "Make a run with Experiment, or train in the notebook."),
    "azureml.core.runconfig": _TRAINING,
    "azureml.core.linked_service": Reason("it connects a workspace to Azure Synapse", "Leave it out."),
    "azureml.core.private_endpoint": _NETWORK,
    "azureml.data": _STORAGE,
    "azureml.datadrift": Reason(
        "it compares data in Azure",
        "Collect the data of a service with collect_model_data=True, and compare the files in the workspace.",
    ),
    "azureml.dataprep": _STORAGE,
    "azureml.exceptions": _ERROR_CLASS,
    "azureml.explain": _INTERPRETATION,
    "azureml.fsspec": _STORAGE,
    "azureml.interpret": _INTERPRETATION,
    "azureml.mlflow": Reason("it sends runs to Azure", "Use MLflow with a tracking store of your own."),
    "azureml.opendatasets": Reason(
        "the data lie in Azure", "Get the data from their publisher, or scikit-learn's and OpenML's data sets."
    ),
    "azureml.pipeline": Reason(
        "pipelines run their steps on clusters of Azure", "Call the steps as functions in the notebook."
    ),
    "azureml.tensorboard": Reason("it reads runs of Azure", "Start tensorboard with the directory of the logs."),
    "azureml.train": _TRAINING,
    "azureml.widgets": Reason(
        "its widget shows a training run of Azure",
        "For endpoints, %monitor shows requests, latencies and errors; for runs, run.wait_for_completion().",
    ),
}
"""Reasons by the beginning of a name, for everything below it; the longest one counts."""

_ELSE = Reason("only what old deployment notebooks need is there", "Remove the import if the notebook can.")


def reason(name: str) -> Reason:
    """Return the reason why a module or name of the SDK is not there.

    Parameters:
        name: its full name, such as ``azureml.core.compute.AmlCompute``.

    """
    own = _NAMES.get(name.rpartition(".")[2])
    if own is not None:
        return own
    place = name
    while place:
        if place in _PLACES:
            return _PLACES[place]
        place = place.rpartition(".")[0]
    return _ELSE


def sentence(name: str) -> str:
    """Return the text of the error for a module or name of the SDK that is not there.

    >>> print(sentence("azureml.widgets.RunDetails").splitlines()[0])
    azureml.widgets.RunDetails is not in mljupyter: its widget shows a training run of Azure.
    """
    found = reason(name)
    return f"{name} is not in mljupyter: {found.why}.\n{found.instead} {_PAGE}"
