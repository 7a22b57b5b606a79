"""The NVIDIA GPUs of this machine, by the library NVML and the package nvidia-ml-py (the extra ``gpu``).

Without the package, or without a driver, there are none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from mljupyter.engine.scaling.accelerators import Accelerator, visible
from mljupyter.runtimes.accelerators import VISIBLE, Devices, Use

log = logging.getLogger(__name__)


class NvidiaDevices:
    """The GPUs of this machine, by NVML. They are looked for once."""

    def present(self) -> Sequence[Accelerator]:
        """Return the GPUs that this process may use."""
        return [accelerator for accelerator, _ in self._handles.values()]

    def use(self, accelerator: str) -> Use | None:
        """Return the present use of a GPU; None if the driver does not tell."""
        import pynvml  # see below

        known = self._handles.get(accelerator)
        if known is None:
            return None
        try:
            rates = pynvml.nvmlDeviceGetUtilizationRates(known[1])
            return Use(float(rates.gpu), int(pynvml.nvmlDeviceGetMemoryInfo(known[1]).used))
        except pynvml.NVMLError as error:
            log.debug("the use of %s is not known: %s", accelerator, error)
            return None

    @cached_property
    def _handles(self) -> dict[str, tuple[Accelerator, Any]]:
        try:
            import pynvml  # heavy, and of the extra `gpu`
        except ModuleNotFoundError:
            return {}
        try:
            pynvml.nvmlInit()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            present = [_described(handle) for handle in handles]
        except pynvml.NVMLError as error:  # no driver, or one that is too old
            log.debug("no GPUs are known: %s", error)
            return {}
        by_id = dict(zip((one.id for one in present), handles, strict=True))
        return {one.id: (one, by_id[one.id]) for one in visible(present, os.environ.get(VISIBLE))}


def _described(handle: Any) -> Accelerator:
    import pynvml  # see above

    return Accelerator(
        _text(pynvml.nvmlDeviceGetUUID(handle)),
        _text(pynvml.nvmlDeviceGetName(handle)),
        int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
    )


DEVICES: Devices = NvidiaDevices()
"""The accelerators of this machine."""


def _text(value: str | bytes) -> str:
    """Return a text of NVML. Some releases of the package return bytes."""
    return value.decode() if isinstance(value, bytes) else value
