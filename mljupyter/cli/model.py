"""``mljupyter model``: the commands for registered models: register, deploy, package, profile and so on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mljupyter.cli import flags
from mljupyter.cli.data import body_of, writable_file, write_metadata
from mljupyter.cli.deletion import Deletion, carry_out, dry_run_option
from mljupyter.cli.deployment import deployment_config_of, finish, inference_config_of, models_of
from mljupyter.cli.flags import OldCommand, filters_of, given, v1_options
from mljupyter.cli.options import open_workspace
from mljupyter.cli.output import print_document, print_fields, print_table, progress_on_stderr, say
from mljupyter.core import Model, ResourceConfiguration, Workspace
from mljupyter.deploy.leftovers import users_of_model
from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded

_COLUMNS = ("NAME", "VERSION", "FRAMEWORK", "TAGS", "CREATED")
_ID = flags.flag("-i", "--model-id", "model_id", metavar="NAME:VERSION", required=True, help="Id of the model.")
_METADATA = flags.flag(
    "-t",
    "--output-metadata-file",
    "metadata_file",
    metavar="FILE",
    callback=writable_file,
    help="Write the ids into this file, as JSON.",
)
_SAMPLES = (
    flags.flag("--sample-input-dataset-id", metavar="ID", help="Dataset with sample input."),
    flags.flag("--sample-output-dataset-id", metavar="ID", help="Dataset with sample output."),
)
_RESOURCES = (*flags.SIZE, flags.LIMITS[2])


@click.group()
def model() -> None:
    """Register, list, show, change, download, deploy, package, profile and delete models."""


@model.command(cls=OldCommand, short_help="Register a file or directory as a model.")
@v1_options(
    flags.NAME,
    flags.flag("-p", "--model-path", metavar="PATH", help="File or directory; with --run-id or -f, in the run."),
    flags.flag("--asset-path", metavar="PATH", help="Path of the files in the run."),
    flags.flag("--model-framework", metavar="NAME", help="ScikitLearn, Onnx, TensorFlow, Multi, Custom, ..."),
    flags.flag("--model-framework-version", metavar="VERSION", help="Its version."),
    *_RESOURCES,
    flags.DESCRIPTION,
    *flags.TAGS,
    flags.flag("-r", "--run-id", metavar="ID", help="Run that has made the model."),
    flags.flag("-f", "--run-metadata-file", metavar="FILE", help="File that `run submit-script -t` has written."),
    flags.flag("--experiment-name", metavar="NAME", help="Experiment of the run."),
    *_SAMPLES,
    _METADATA,
)
def register(workspace: str | None, as_json: bool, **values: Any) -> None:
    """Register a file or a directory as the next version of a model."""
    found = open_workspace(workspace)
    with progress_on_stderr():
        registered = _registered(found, values)
    if values["metadata_file"] is not None:
        write_metadata(values["metadata_file"], _ids(found, modelId=registered.id))
    if as_json:
        print_document(registered.serialize())
    else:
        say(f"{registered.id}: registered")


def _registered(workspace: Workspace, values: dict[str, Any]) -> Model:
    """Register the model from a local path, or from the files of a run."""
    run_id = values["run_id"]
    if values["run_metadata_file"] is not None:
        from mljupyter.core.configuration_files import read_document  # only for this option

        run_id = read_document(values["run_metadata_file"], "run metadata file").get("runId")
    arguments = given(values, "model_framework", "model_framework_version", "description", "tags", "properties")
    arguments["resource_configuration"] = _resources(values)
    arguments["sample_input_dataset"] = values["sample_input_dataset_id"]
    arguments["sample_output_dataset"] = values["sample_output_dataset_id"]
    path = values["asset_path"] or values["model_path"]
    if run_id is not None:
        return workspace.get_run(run_id).register_model(values["name"], path, **arguments)
    if values["model_path"] is None:
        raise click.UsageError("--model-path is missing: the file or directory of the model.")
    if values["asset_path"] is not None:
        raise click.UsageError("--asset-path names files of a run: give --run-id as well, or --model-path alone.")
    if not expanded(path).exists():
        raise UserErrorException(f"--model-path {path!r} does not exist in {Path.cwd()}.")
    return Model.register(workspace, path, values["name"], **arguments)


@model.command("list", cls=OldCommand, short_help="List the registered models.")
@v1_options(
    flags.flag("-n", "--model-name", metavar="NAME", help="Only of this name."),
    flags.flag("-l", "--latest", help="Only the newest version of each name.", **flags.SWITCH),
    *flags.FILTERS,
    flags.flag("--run-id", metavar="ID", help="Only of this run."),
    flags.flag("--dataset-id", metavar="ID", help="Only with this dataset."),
)
def list_models(workspace: str | None, as_json: bool, **values: Any) -> None:
    """List the registered models, the newest version of each name first."""
    models = Model.list(
        open_workspace(workspace),
        name=values["model_name"],
        tags=filters_of(values["tags"]),
        properties=filters_of(values["properties"]),
        run_id=values["run_id"],
        latest=bool(values["latest"]),
        dataset_id=values["dataset_id"],
    )
    if as_json:
        print_document([one.serialize() for one in models])
    elif not models:
        say("No models. Register one with: mljupyter model register -n NAME -p PATH")
    else:
        print_table(_COLUMNS, [_row(one) for one in models])


@model.command(cls=OldCommand, short_help="Show one model.")
@v1_options(
    flags.flag("-i", "--model-id", metavar="NAME:VERSION", help="Id of the model."),
    flags.flag("-n", "--model-name", metavar="NAME", help="Its name; the newest version."),
    flags.flag("--version", type=int, metavar="NUMBER", help="With the name: this version."),
    flags.flag("--run-id", metavar="ID", help="With the name: of this run."),
)
def show(
    model_id: str | None,
    model_name: str | None,
    version: int | None,
    run_id: str | None,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Show one model by its id, or the newest version of a name."""
    if (model_id is None) == (model_name is None):
        raise click.UsageError("Give --model-id NAME:VERSION or --model-name NAME.")
    found = Model(open_workspace(workspace), model_name, id=model_id, version=version, run_id=run_id)
    document = found.serialize()
    if as_json:
        print_document(document)
    else:
        print_fields([(key, _text(value)) for key, value in document.items() if value not in (None, {}, [])])


@model.command(cls=OldCommand, short_help="Change tags, properties, description or size.")
@v1_options(_ID, *flags.CHANGED_TAGS, *flags.ADDED_PROPERTIES, flags.DESCRIPTION, *_RESOURCES, *_SAMPLES)
def update(model_id: str, workspace: str | None, as_json: bool, **values: Any) -> None:
    """Change the attributes that are given."""
    if not given(values):
        raise click.UsageError("Nothing to change: give --add-tag, --description or another option.")
    found = Model(open_workspace(workspace), id=model_id)
    tags = given(values, "add_tags", "remove_tags", "add_properties")
    if tags:
        found.update_tags_properties(**tags)
    samples = {"sample_input_dataset_id": "sample_input_dataset", "sample_output_dataset_id": "sample_output_dataset"}
    others = {samples.get(name, name): value for name, value in given(values, "description", *samples).items()}
    if resources := _resources(values):
        others["resource_configuration"] = resources
    if others:
        found.update(**others)
    _show_changed(found, as_json)


@model.command(cls=OldCommand, short_help="Download the files of a model.")
@v1_options(
    _ID,
    flags.flag("-t", "--target-dir", metavar="DIR", required=True, help="Directory for its file or directory."),
    flags.flag("--overwrite", help="Replace files that exist.", **flags.SWITCH),
)
def download(model_id: str, target_dir: str, overwrite: bool | None, workspace: str | None, as_json: bool) -> None:
    """Copy the file or directory of a model into a directory."""
    found = Model(open_workspace(workspace), id=model_id)
    target = expanded(target_dir) / found.record.entry
    if target.exists() and not overwrite:
        raise UserErrorException(f"{target} exists already: --overwrite replaces it.")
    path = found.download(target_dir, exist_ok=bool(overwrite))
    if as_json:
        print_document({"downloadPath": path})
    else:
        say(path)


@model.command(cls=OldCommand, short_help="Delete models that nothing uses.")
@v1_options(
    flags.flag(
        "-i",
        "--model-id",
        "model_ids",
        metavar="NAME:VERSION",
        multiple=True,
        required=True,
        help="Id of the model. Repeatable.",
    ),
    dry_run_option,
)
def delete(model_ids: tuple[str, ...], dry_run: bool, workspace: str | None, as_json: bool) -> None:
    """Delete models. Nothing is deleted while a web service or an image uses one of them."""
    found = open_workspace(workspace)
    models = [Model(found, id=one) for one in model_ids]
    deletions = [Deletion(one.id, one.delete, users_of_model(found.context, one.id)) for one in models]
    carry_out(deletions, key="id", dry_run=dry_run, as_json=as_json)


@model.command(cls=OldCommand, short_help="Deploy models as a web service.")
@v1_options(
    flags.NAME,
    *flags.MODELS,
    flags.flag("--dc", "--deploy-config-file", "deploy_file", metavar="FILE", help="deploymentconfig.json."),
    flags.flag("--ct", "--compute-target", metavar="NAME", help="Compute target. Default: this machine."),
    flags.flag("--cp", "--compute-type", metavar="KIND", help="ACI, AKS, AKSENDPOINT or LOCAL."),
    flags.flag("--overwrite", help="Replace the web service of that name.", **flags.SWITCH),
    *flags.NO_WAIT,
    *flags.INFERENCE,
    *flags.SIZE,
    *flags.LIMITS,
    *flags.AUTHENTICATION,
    *flags.OWN_KEYS,
    *flags.SCALING,
    *flags.REQUESTS,
    *flags.PROBE,
    *flags.INSIGHTS,
    *flags.COLLECTION,
    *flags.TLS,
    *flags.PLACE,
    *flags.VERSION,
    *flags.PORT,
    flags.DESCRIPTION,
    *flags.TAGS,
    *flags.CLOUD_ONLY,
    flags.flag("--pi", "--profile-input", metavar="FILE", hidden=True),
)
def deploy(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Deploy models with a scoring script, or without one if their framework has its own.

    Options override the files. Without a file and without a kind it is an ACI web service; with a cluster as compute
    target it is an AKS web service.
    """
    if values["profile_input"] is not None:
        raise click.UsageError(
            "--profile-input is not for deployments here: mljupyter model profile recommends a size."
        )
    found = open_workspace(workspace)
    with progress_on_stderr():
        service = Model.deploy(
            found,
            name,
            models_of(values),
            inference_config_of(found, values),
            deployment_config_of(found, values),
            values["compute_target"],
            overwrite=bool(values["overwrite"]),
        )
    finish(service, as_json=as_json, wait=not no_wait)


@model.command(cls=OldCommand, short_help="Build an image of models and a script.")
@v1_options(
    *flags.MODELS,
    *flags.INFERENCE,
    flags.flag("--in", "--image-name", "image_name", metavar="NAME", help="Name of the image. Default: package."),
    flags.flag("--il", "--image-label", metavar="TAG", help="Its tag. Default: the current time."),
    flags.flag("--output-path", metavar="DIR", help="Write a Dockerfile and its files here; build no image."),
    *flags.NO_WAIT,
)
def package(workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Build an image of models and a scoring script, or with --output-path the directory for a build."""
    found = open_workspace(workspace)
    path = values["output_path"]
    with progress_on_stderr():
        built = Model.package(
            found,
            models_of(values),
            inference_config_of(found, values),
            generate_dockerfile=path is not None,
            image_name=values["image_name"],
            image_label=values["image_label"],
        )
        if path is not None:
            built.save(path)
        elif not no_wait:
            built.wait_for_creation(show_output=True)
    if as_json:
        print_document(built.serialize() | ({"outputPath": path} if path is not None else {}))
    else:
        say(f"Dockerfile and files: {path}" if path is not None else f"{built.location or built.state}")


@model.command(cls=OldCommand, short_help="Measure CPU and memory, recommend a size.")
@v1_options(
    flags.NAME,
    *flags.MODELS,
    flags.flag("--idi", "--input-dataset-id", metavar="ID", help="Dataset with one request body in each row."),
    flags.flag("--input-data", metavar="DATA", help="Instead, one request body: text, or @FILE."),
    *flags.INFERENCE,
    *flags.SIZE,
    flags.DESCRIPTION,
    _METADATA,
)
def profile(name: str, workspace: str | None, as_json: bool, **values: Any) -> None:
    """Send requests to a temporary endpoint, and recommend CPU and memory for replicas."""
    if (values["input_dataset_id"] is None) == (values["input_data"] is None):
        raise click.UsageError("Give --input-dataset-id ID or --input-data DATA: the requests to send.")
    found = open_workspace(workspace)
    arguments: dict[str, Any] = {"cpu": values["cpu_cores"], "memory_in_gb": values["memory_gb"]}
    if values["input_data"] is not None:
        data = body_of(values["input_data"])
        arguments["input_data"] = data.decode() if isinstance(data, bytes) else data
    else:
        from mljupyter.core import Dataset  # only for a dataset

        arguments["input_dataset"] = Dataset.get_by_id(found, values["input_dataset_id"])
    with progress_on_stderr():
        config = inference_config_of(found, values)
        if config is None:
            raise click.UsageError("--inference-config-file or --entry-script is missing: the scoring script.")
        made = Model.profile(found, name, models_of(values), config, description=values["description"], **arguments)
        made.wait_for_completion(show_output=True)
    details = made.get_details()
    if values["metadata_file"] is not None:
        write_metadata(values["metadata_file"], _ids(found, profileId=name))
    if as_json:
        print_document(details)
    else:
        print_fields([(key, _text(value)) for key, value in details.items() if value is not None])


def _resources(values: dict[str, Any]) -> ResourceConfiguration | None:
    size = given(values, "cpu_cores", "memory_gb", "gpu_cores")
    names = {"cpu_cores": "cpu", "memory_gb": "memory_in_gb", "gpu_cores": "gpu"}
    return ResourceConfiguration(**{names[name]: value for name, value in size.items()}) if size else None


def _ids(workspace: Workspace, **ids: str) -> dict[str, str]:
    return {**ids, "workspaceName": workspace.name, "resourceGroupName": workspace.resource_group}


def _show_changed(found: Model, as_json: bool) -> None:
    if as_json:
        print_document(found.serialize())
    else:
        say(f"{found.id}: changed")


def _row(one: Model) -> list[str]:
    tags = ", ".join(f"{key}={value}" for key, value in sorted(one.tags.items()))
    return [one.name, str(one.version), one.record.shown_framework, tags, f"{one.created_time:%Y-%m-%d %H:%M}"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
