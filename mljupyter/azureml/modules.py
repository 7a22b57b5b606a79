"""The table of modules: for each module of the SDK, the modules of mljupyter that its names are copied from.

A new class appears under its old names by one more line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

CONTAINERS = frozenset(
    (
        *("azureml", "azureml.contrib", "azureml.core.image", "azureml.data", "azureml.pipeline", "azureml.train"),
        *("azureml.train.hyperdrive", "azureml.train.automl"),
    )
)
"""Packages that can be imported even if they have no names: what is below them has its own reason."""


@dataclass(frozen=True)
class Names:
    """Names of one module of mljupyter.

    Parameters:
        module: the module.
        names: the names, separated by spaces. ``old=new`` copies the name `new` as `old`.
        later: names that are left out as long as `module` does not have them.

    """

    module: str
    names: str
    later: bool = False

    def values(self) -> dict[str, Any]:
        """Import the module, and return its values by the names of the SDK."""
        try:
            module = import_module(self.module)
        except ModuleNotFoundError as error:
            if self.later and error.name is not None and f"{self.module}.".startswith(f"{error.name}."):
                return {}
            raise  # a package that the module needs is not installed
        found = {}
        for name, source in self.pairs():
            if not self.later or hasattr(module, source):
                found[name] = getattr(module, source)
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """Return each name of the SDK with the name in `module`."""
        parts = (text.partition("=") for text in self.names.split())
        return [(old, new or old) for old, _, new in parts]


def _later(module: str, names: str) -> Names:
    return Names(module, names, later=True)


_CORE = "mljupyter.core"
_WEBSERVICE = f"{_CORE}.webservice"
_TYPES = Names(
    f"{_WEBSERVICE}.types", "AutoScaler ContainerResourceRequirements DataCollection LivenessProbeRequirements"
)
_ERRORS = "mljupyter.exceptions"
_ENVIRONMENT = Names(
    f"{_CORE}.environment",
    "CondaDependencies ContainerRegistry DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE DockerBuildContext DockerImageDetails "
    "DockerSection Environment ImageBuildDetails PythonSection SparkPackage SparkSection",
)
_AUTHENTICATION = _later(
    f"{_CORE}.authentication",
    "AbstractAuthentication ArmTokenAuthentication AzureCliAuthentication InteractiveLoginAuthentication "
    "MsiAuthentication ServicePrincipalAuthentication TokenAuthentication",
)
_RUN_CONFIGURATION = _later(
    f"{_CORE}.runconfig",
    "DockerConfiguration MpiConfiguration PyTorchConfiguration RunConfiguration TensorflowConfiguration",
)
_DATA = f"{_CORE}.data"

MODULES: dict[str, tuple[Names, ...]] = {
    "azureml.core": (
        Names(
            _CORE,
            "ComputeTarget ContainerRegistry Environment Image Model VERSION __version__=VERSION Webservice Workspace",
        ),
        _later(_CORE, "Dataset Datastore Experiment Keyvault Run RunConfiguration ScriptRunConfig"),
    ),
    "azureml.core.authentication": (_AUTHENTICATION,),
    "azureml.core.compute": (Names(f"{_CORE}.compute", "AksCompute AmlCompute ComputeTarget KubernetesCompute"),),
    "azureml.core.compute.aks": (
        Names(
            f"{_CORE}.compute",
            "AksAttachConfiguration AksCompute AksProvisioningConfiguration AksUpdateConfiguration ComputeTarget "
            "SslConfiguration SystemService",
        ),
        Names(_ERRORS, "ComputeTargetException"),
    ),
    "azureml.core.compute.amlcompute": (
        Names(f"{_CORE}.compute", "AmlCompute AmlComputeProvisioningConfiguration ComputeTarget"),
        Names(f"{_CORE}.compute.aml", "AmlComputeStatus"),
        Names(_ERRORS, "ComputeTargetException"),
    ),
    "azureml.core.compute.compute": (
        Names(f"{_CORE}.compute", "ComputeTarget ComputeTargetUpdateConfiguration"),
        Names(f"{_CORE}.compute.cluster", "ComputeTargetProvisioningConfiguration=ClusterProvisioningConfiguration"),
        Names(f"{_CORE}.compute.cluster", "ComputeTargetAttachConfiguration=ClusterAttachConfiguration"),
        Names(_ERRORS, "ComputeTargetException"),
    ),
    "azureml.core.compute.kubernetescompute": (
        Names(f"{_CORE}.compute", "KubernetesCompute"),
        Names(f"{_CORE}.compute.cluster", "KubernetesComputeAttachConfiguration=ClusterAttachConfiguration"),
    ),
    "azureml.core.compute_target": (Names(_ERRORS, "ComputeTargetException"),),
    "azureml.core.conda_dependencies": (Names(f"{_CORE}.conda_dependencies", "CondaDependencies"),),
    "azureml.core.container_registry": (Names(f"{_CORE}.container_registry", "ContainerRegistry RegistryIdentity"),),
    "azureml.core.dataset": (_later(_CORE, "Dataset"),),
    "azureml.core.datastore": (_later(_CORE, "Datastore"),),
    "azureml.core.environment": (_ENVIRONMENT, Names(f"{_CORE}.environment", "EnvironmentReference RSection")),
    "azureml.core.experiment": (_later(_CORE, "Experiment"),),
    "azureml.core.image": (Names(f"{_CORE}.image", "ContainerImage Image"),),
    "azureml.core.image.container": (Names(f"{_CORE}.image", "ContainerImage ContainerImageConfig"),),
    "azureml.core.image.image": (Names(f"{_CORE}.image", "Image ImageConfig"),),
    "azureml.core.keyvault": (_later(_CORE, "Keyvault"),),
    "azureml.core.model": (
        Names(_CORE, "InferenceConfig Model ModelPackage"),
        Names(f"{_CORE}.resource_configuration", "ResourceConfiguration"),
    ),
    "azureml.core.profile": (Names(f"{_CORE}.profile", "ModelProfile"),),
    "azureml.core.resource_configuration": (Names(f"{_CORE}.resource_configuration", "ResourceConfiguration"),),
    "azureml.core.run": (_later(_CORE, "Run"), _later(f"{_CORE}.run", "_OfflineRun _SubmittedRun get_run")),
    "azureml.core.runconfig": (
        _ENVIRONMENT,
        _RUN_CONFIGURATION,
    ),
    "azureml.core.script_run": (_later(_CORE, "ScriptRun"),),
    "azureml.core.script_run_config": (_later(_CORE, "ScriptRunConfig"),),
    "azureml.core.webservice": (
        Names(
            _WEBSERVICE,
            "AciWebservice AksEndpoint AksWebservice LocalWebservice Webservice",
        ),
    ),
    "azureml.core.webservice.aci": (
        Names(_WEBSERVICE, "AciWebservice"),
        Names(f"{_WEBSERVICE}.configuration", "AciServiceDeploymentConfiguration"),
        Names(f"{_WEBSERVICE}.types", "ContainerResourceRequirements EncryptionProperties VnetConfiguration"),
    ),
    "azureml.core.webservice.aks": (
        Names(_WEBSERVICE, "AksEndpoint AksServiceAccessToken AksWebservice"),
        Names(f"{_WEBSERVICE}.configuration", "AksEndpointDeploymentConfiguration AksServiceDeploymentConfiguration"),
        _TYPES,
    ),
    "azureml.core.webservice.local": (
        Names(_WEBSERVICE, "LocalWebservice"),
        Names(f"{_WEBSERVICE}.configuration", "LocalWebserviceDeploymentConfiguration"),
    ),
    "azureml.core.webservice.webservice": (
        Names(_WEBSERVICE, "WebServiceAccessToken Webservice WebserviceDeploymentConfiguration WebserviceException"),
        _TYPES,
    ),
    "azureml.core.workspace": (Names(_CORE, "Workspace"), Names(_ERRORS, "UserErrorException WorkspaceException")),
    "azureml.data": (_later(_DATA, "DataType FileDataset TabularDataset"),),
    "azureml.data.abstract_dataset": (_later(f"{_DATA}.abstract_dataset", "AbstractDataset"),),
    "azureml.data.azure_storage_datastore": (_later(f"{_CORE}.datastore", "AzureBlobDatastore AzureFileDatastore"),),
    "azureml.data.data_reference": (_later(f"{_DATA}.data_reference", "DataReference"),),
    "azureml.data.datapath": (_later(f"{_DATA}.datapath", "DataPath"),),
    "azureml.data.dataset_consumption_config": (
        _later(f"{_DATA}.dataset_consumption_config", "DatasetConsumptionConfig"),
    ),
    "azureml.data.dataset_error_handling": (_later(_ERRORS, "DatasetExecutionError DatasetValidationError"),),
    "azureml.data.dataset_factory": (
        _later(f"{_DATA}.dataset_factory", "DataType FileDatasetFactory TabularDatasetFactory"),
    ),
    "azureml.data.dataset_type_definitions": (
        _later(
            f"{_DATA}.dataset_type_definitions",
            "FileEncoding FileType HistogramCompareMethod PromoteHeadersBehavior SkipLinesBehavior",
        ),
    ),
    "azureml.data.file_dataset": (_later(f"{_DATA}.file_dataset", "FileDataset"),),
    "azureml.data.tabular_dataset": (_later(f"{_DATA}.tabular_dataset", "TabularDataset"),),
    "azureml.exceptions": (
        Names(
            _ERRORS,
            "AzureMLException ComputeTargetException ModelNotFoundException ProjectSystemException UserErrorException "
            "WebserviceException WorkspaceException",
        ),
        _later(
            _ERRORS,
            "ActivityFailedException AuthenticationException ExperimentExecutionException RunConfigurationException "
            "RunEnvironmentException ServiceException SnapshotException TrainingException",
        ),
    ),
}
