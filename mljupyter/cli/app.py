"""The group of all commands."""

from __future__ import annotations

import click

from mljupyter import __version__
from mljupyter.cli.controller import controller
from mljupyter.cli.demo_command import demo
from mljupyter.cli.doctor import doctor
from mljupyter.cli.endpoint import endpoint
from mljupyter.cli.gc import gc
from mljupyter.cli.image import image
from mljupyter.cli.router import router


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mljupyter")
def app() -> None:
    """Manage deployed machine learning models on this machine: endpoints, images, router, controller."""


for command in (doctor, endpoint, image, router, gc, controller, demo):
    app.add_command(command)
