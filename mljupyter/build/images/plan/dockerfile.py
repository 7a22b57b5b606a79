"""Generate the Dockerfile of a plan: multi-stage, ordered so that the cache survives changes of the code."""

from __future__ import annotations

import json
import re

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.plan import layout
from mljupyter.build.images.plan.plan import ImagePlan

SERVER_FILE = "server-requirements.txt"
REQUIREMENTS_FILE = "requirements.txt"
SOURCE_FILE = "source-requirements.txt"
CONDA_FILE = "conda_dependencies.yml"
INTERPRETER_FILE = "python"
SERVER_FOLDER = "mljupyter-scoring"
APP_FOLDER = "azureml-app"
# Our own prefix, since the stages of a base Dockerfile have names too.
STAGE_PREFIX = "mljupyter-"
BASE = f"{STAGE_PREFIX}base"
TOOLS = f"{STAGE_PREFIX}tools"
SERVER = f"{STAGE_PREFIX}server"
PACKAGES = f"{STAGE_PREFIX}environment"
SOURCE = f"{STAGE_PREFIX}source"
_TOOLS = "/opt/mljupyter/tools"
_INPUT = "/tmp/mljupyter"  # noqa: S108 - a folder of a stage that is thrown away
SOURCES_FOLDER = "package-sources"
SOURCES = f"{_INPUT}/{SOURCES_FOLDER}"
_FROM = re.compile(r"(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*\S+(?:[ \t]+AS[ \t]+(?P<alias>\S+))?[ \t]*$")


def dockerfile(plan: ImagePlan) -> str:
    """Return the Dockerfile for the context that `save_context` writes.

    Raises `ImageError` for a plan with `own_image`, and for a base Dockerfile without ``FROM``.
    """
    if plan.own_image is not None:
        raise ImageError(f"The image {plan.own_image} is used as it is: there is nothing to build, and no Dockerfile.")
    stages = [_base(plan), _tools(), _server(plan), _environment(plan), _final(plan)]
    return "\n".join(stage for stage in stages if stage)


def source_dockerfile(plan: ImagePlan) -> str:
    """Return the Dockerfile that builds the package in `SOURCE_FILE` as the image's installer would, and keeps nothing.

    Its first stages are those of `dockerfile`, so that the engine's cache has them.
    """
    check = f"""# A package that exists as source alone: this fails if it cannot be built.
FROM {TOOLS} AS {SOURCE}
{_label(layout.LABEL_ENVIRONMENT, plan.environment)}COPY {SOURCE_FILE} {_INPUT}/
RUN {_make_environment(plan)} \\
 && {_pip(layout.ENVIRONMENT, SOURCE_FILE, f"wheel --no-deps --wheel-dir {_INPUT}/wheels")} \\
 && rm -r {_INPUT} {layout.ENVIRONMENT}
"""
    return "\n".join([_base(plan), _tools(), check])


def _base(plan: ImagePlan) -> str:
    steps = (plan.extra_steps or "").strip()
    own = f"\n# The environment's own steps.\n{steps}\n" if steps else ""
    if plan.base_dockerfile is None:
        head = "# The base of all stages."
        # Only where steps differ: a label would make the builder run the server's stage again for each environment.
        label = _label(layout.LABEL_ENVIRONMENT, plan.environment) if own else ""
        return f"{head}\nFROM {plan.base_image} AS {BASE}\nUSER root\n{label}{own}"
    text = plan.base_dockerfile.strip()
    stages = list(_FROM.finditer(text))
    if not stages:
        raise ImageError("The base Dockerfile has no FROM line: begin it with one, such as 'FROM python:3.11-slim'.")
    last = stages[-1]
    if last["alias"] is None:
        text = f"{text[: last.end()].rstrip()} AS mljupyter-own{text[last.end() :]}"
    alias = last["alias"] or "mljupyter-own"
    return (
        f"# The environment's own Dockerfile.\n{text}\n\n# The base of all stages.\nFROM {alias} AS {BASE}\n"
        f"USER root\n{_label(layout.LABEL_ENVIRONMENT, plan.environment)}{own}"
    )


def _tools() -> str:
    return f"""# The installer of packages. It is not part of the image.
FROM {BASE} AS {TOOLS}
{_label(layout.LABEL_SERVER, "tools")}RUN python3 -m venv {_TOOLS}
"""


def _server(plan: ImagePlan) -> str:
    folder = layout.SERVER_ENVIRONMENT
    return f"""# The environment of the scoring server, separate from the model's packages.
FROM {TOOLS} AS {SERVER}
{_label(layout.LABEL_SERVER, "front")}COPY {SERVER_FILE} {_INPUT}/
RUN python3 -m venv --without-pip {folder} \\
 && {_pip(folder, SERVER_FILE)}
"""


def _pip(folder: str, file: str, command: str = "install") -> str:
    options = f"--no-cache-dir --progress-bar off --requirement {_INPUT}/{file}"
    return f"{_TOOLS}/bin/python -m pip --python {folder}/bin/python {command} {options}"


def _make_environment(plan: ImagePlan) -> str:
    version = plan.packages.python_version
    python = f'"$(command -v python{version} || command -v python3)"' if version else "python3"
    return f"{python} -m venv --without-pip {layout.ENVIRONMENT}"


def _environment(plan: ImagePlan) -> str:
    packages, folder = plan.packages, layout.ENVIRONMENT
    label = _label(layout.LABEL_ENVIRONMENT, plan.environment)
    if packages.kind == "own":
        return f"""# The interpreter of the base image has the packages.
FROM {BASE} AS {PACKAGES}
{label}COPY {INTERPRETER_FILE} {folder}/bin/python
"""
    sources = f"COPY {SOURCES_FOLDER}/ {SOURCES}/\n" if packages.has_sources else ""
    if packages.kind == "conda":
        file = f"{_INPUT}/{CONDA_FILE}"
        return f"""# The packages that the scoring script needs, some of them from conda.
FROM {BASE} AS {PACKAGES}
{label}COPY {CONDA_FILE} {_INPUT}/
{sources}RUN if command -v micromamba > /dev/null; then micromamba create --yes --prefix {folder} --file {file}; \\
    elif command -v conda > /dev/null; then conda env create --prefix {folder} --file {file}; \\
    else echo "mljupyter: the base image has neither micromamba nor conda" >&2; exit 1; fi
"""
    install = ""
    copy = ""
    if packages.requirements:
        copy = f"COPY {REQUIREMENTS_FILE} {_INPUT}/\n{sources}"
        install = f" \\\n && {_pip(folder, REQUIREMENTS_FILE)}"
    return f"""# The packages that the scoring script needs.
FROM {TOOLS} AS {PACKAGES}
{label}{copy}RUN {_make_environment(plan)}{install}
"""


def _final(plan: ImagePlan) -> str:
    variables = " \\\n    ".join(f"{name}={_quoted(value)}" for name, value in plan.all_variables().items())
    models = f"COPY {layout.MODELS}/ {layout.APP_ROOT}/{layout.MODELS}/\n" if plan.models else ""
    labels = " \\\n      ".join(f"{_quoted(name)}={_quoted(value)}" for name, value in plan.labels().items())
    return f"""# The image: content that never changes first, then environments, server, models, code.
FROM {BASE}
WORKDIR {layout.WORKING_DIRECTORY}
RUN install -d -o {layout.USER} -g {layout.USER} {layout.APP_ROOT}
USER {layout.USER}:{layout.USER}
EXPOSE {layout.PORT}
HEALTHCHECK --interval={layout.HEALTH_INTERVAL_SECONDS}s --timeout={layout.HEALTH_TIMEOUT_SECONDS}s \\
            --start-period={layout.HEALTH_START_SECONDS}s --retries={layout.HEALTH_RETRIES} \\
    CMD {json.dumps(layout.HEALTH_CHECK)}
ENTRYPOINT {json.dumps(layout.ENTRY_POINT)}
CMD []
COPY --from={SERVER} {layout.SERVER_ENVIRONMENT} {layout.SERVER_ENVIRONMENT}
COPY --from={PACKAGES} {layout.ENVIRONMENT} {layout.ENVIRONMENT}
COPY {SERVER_FOLDER}/ {layout.SERVER_CODE}/
{models}COPY --chown={layout.USER}:{layout.USER} {APP_FOLDER}/ {layout.APP_ROOT}/
ENV {variables}
LABEL {labels}
"""


def _label(name: str, value: str) -> str:
    return f"LABEL {_quoted(name)}={_quoted(value)}\n"


def _quoted(value: str) -> str:
    r"""Quote for a Dockerfile: there ``\`` escapes, and ``$`` begins a variable.

    >>> _quoted('a "b" $c')
    '"a \\"b\\" \\$c"'

    Raises `ImageError` for a line end, after which another instruction would begin.
    """
    if any(end in value for end in "\n\r\0"):
        raise ImageError(f"{value!r:.200} holds a line end, which a Dockerfile cannot hold.")
    for character in ("\\", '"', "$"):
        value = value.replace(character, f"\\{character}")
    return f'"{value}"'
