"""The interface of image builders: their input and their result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from mljupyter.build.failures import EnvironmentBuildError
from mljupyter.build.images.errors import BuildCancelledError, BuildFailedError, ImageError
from mljupyter.build.images.events import BuildLog, OnEvent
from mljupyter.build.images.hints import image_hint
from mljupyter.build.images.plan.plan import ImagePlan


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A package in an image: one line of its bill of materials. `part` is ``environment`` or ``server``."""

    name: str
    version: str
    part: str = "environment"
    license: str | None = None


@dataclass(frozen=True)
class BuiltImage:
    """An existing image.

    Parameters:
        reference: its full reference, for ``docker run`` or a pod.
        digest: the digest of its manifest, or its id where only an engine has it.
        layers: the digests of its layers, or of their content where only an engine has it.
        packages: the packages installed in it.
        log: the log of the build; None when the image existed already.
        relaxed: pins that were relaxed, in the form of `relaxed_text`; None for none.

    """

    reference: str
    digest: str
    layers: tuple[str, ...]
    packages: tuple[InstalledPackage, ...] = ()
    log: BuildLog | None = field(default=None, repr=False)
    relaxed: str | None = None


class Builder(Protocol):
    """Builds images from plans in one place: an engine or a registry."""

    @property
    def place(self) -> str:
        """The place of its images: ``docker`` or ``registry/<host>``."""
        ...

    def find(self, plan: ImagePlan) -> BuiltImage | None:
        """Return an existing image of this plan, None if there is none."""
        ...

    def build(
        self,
        plan: ImagePlan,
        *,
        tag: str,
        on_event: OnEvent | None = None,
        cancel: threading.Event | None = None,
    ) -> BuiltImage:
        """Build the image and name it `tag`. Events go to `on_event` as they happen; setting `cancel` stops the build.

        Raises `BuildFailedError` with step, last lines and hint, and `BuildCancelledError` after all was removed.
        """
        ...

    def remove(self, reference: str) -> None:
        """Remove an image from this place. Do nothing when it does not exist."""
        ...


def built(log: BuildLog, work: Callable[[BuildLog], BuiltImage]) -> BuiltImage:
    """Do the work of a build. Any failure is raised as an error of builds, which carries the log."""
    try:
        image = work(log)
    except BuildCancelledError as error:
        log.end("cancelled")
        raise _with_log(BuildCancelledError("The image build was cancelled; nothing of it is left."), log) from error
    except BuildFailedError as error:
        log.end("failed")
        raise _with_log(error, log) from error.__cause__
    except (ImageError, EnvironmentBuildError) as error:
        log.line(error.message)
        log.end("failed")
        raise _with_log(failed(log, log.redacted(error.message.partition("\n")[0])), log) from error
    except OSError as error:
        log.line(f"{type(error).__name__}: {error}")
        log.end("failed")
        raise _with_log(failed(log, log.redacted(str(error))), log) from error
    log.end("succeeded")
    return image


def failed(log: BuildLog, reason: str) -> BuildFailedError:
    """Return the error for a build that failed in its current stage."""
    lines = log.last_lines()
    return BuildFailedError(log.current_stage, reason, lines, image_hint([reason, *lines]))


def _with_log(error: Any, log: BuildLog) -> Any:
    error.build_log = log
    return error
