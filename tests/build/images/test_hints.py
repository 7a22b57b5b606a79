"""What usually helps, by what engines, pip and uv have really printed."""

from __future__ import annotations

import pytest

from mljupyter.build.images.hints import image_hint, source_cannot_be_built

NO_NETWORK_PIP = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f29b9919d50>: Failed to establish a \
new connection: [Errno -3] Temporary failure in name resolution')': /simple/roman/
ERROR: Could not find a version that satisfies the requirement roman==4.2 (from versions: none)
ERROR: No matching distribution found for roman==4.2"""
NO_NETWORK_UV = """\
error: Request failed after 3 retries in 6.0s
  cause: Failed to fetch: http://127.0.0.1:9/simple/roman/
  cause: error sending request for url (http://127.0.0.1:9/simple/roman/)
  cause: Connection refused (os error 111)"""
NO_PACKAGE_PIP = """\
ERROR: Could not find a version that satisfies the requirement no-such-package-here (from versions: none)
ERROR: No matching distribution found for no-such-package-here"""
NO_PACKAGE_UV = (
    "Because no-such-package-here was not found in the package registry, your requirements are unsatisfiable."
)
WRONG_PIN_PIP = """\
ERROR: Could not find a version that satisfies the requirement roman==99.0 (from versions: 1.4.0, 4.2)
ERROR: No matching distribution found for roman==99.0"""
WRONG_PIN_UV = "Because there is no version of roman==99.0, your requirements are unsatisfiable."
NO_SPACE_BUILD = "dd: error writing '/dev/shm/x': No space left on device"
NO_SPACE_UV = "error: failed to copy: No space left on device (os error 28)"
NO_SPACE_ENGINE = "Error processing tar file(exit status 1): write /opt/a.so: no space left on device"
DENIED = "unauthorized: authentication required"
NO_BASE = "manifest for registry.example.com/team/python:3.99 not found: manifest unknown: manifest unknown"

NO_COMPILER = """\
  error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory
  ERROR: Failed building wheel for ujson
Failed to build ujson
ERROR: Failed to build one or more wheels"""
NO_METADATA = """\
      RuntimeError: no compiler
  error: subprocess-exited-with-error
error: metadata-generation-failed"""
NO_BUILD_DEPENDENCIES = "error: subprocess-exited-with-error\n  pip subprocess to install build dependencies"


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        (NO_NETWORK_PIP, "cannot be reached"),
        (NO_NETWORK_UV, "cannot be reached"),
        (NO_PACKAGE_PIP, "no such package"),
        (NO_PACKAGE_UV, "no such package"),
        (WRONG_PIN_PIP, "pinned version does not exist"),
        (WRONG_PIN_UV, "pinned version does not exist"),
        (NO_SPACE_BUILD, "No space is left"),
        (NO_SPACE_UV, "uv cache prune"),
        (NO_SPACE_ENGINE, "docker system prune"),
        (DENIED, "credentials"),
        (NO_BASE, "base image was not found"),
    ],
)
def test_the_cause_is_named_not_its_consequence(output: str, hint: str) -> None:
    assert hint in (image_hint(output.splitlines()) or "")


def test_nobody_guesses() -> None:
    assert image_hint(["make: *** [all] Error 2"]) is None


@pytest.mark.parametrize("output", [NO_COMPILER, NO_METADATA, NO_BUILD_DEPENDENCIES])
def test_a_source_that_cannot_be_built_is_told_from_the_output_of_pip(output: str) -> None:
    assert source_cannot_be_built(output.splitlines())


@pytest.mark.parametrize("outside", ["", NO_NETWORK_PIP, NO_NETWORK_UV, NO_SPACE_BUILD, NO_SPACE_ENGINE])
def test_a_build_without_network_or_disk_says_nothing_about_the_source(outside: str) -> None:
    lines = [*outside.splitlines(), *(NO_BUILD_DEPENDENCIES.splitlines() if outside else ["out of luck"])]
    assert not source_cannot_be_built(lines)
