"""NVML with the GPUs that the variable FAKE_GPUS names, in the interface of the package nvidia-ml-py."""
# ruff: noqa: N802 - the names are those of the package

from __future__ import annotations

import os
from types import SimpleNamespace


class NVMLError(Exception):
    """A driver that is not there."""


def _present() -> list[str]:
    return [name for name in os.environ.get("FAKE_GPUS", "").split(",") if name]


def nvmlInit() -> None:
    if not _present():
        raise NVMLError("Driver Not Loaded")


def nvmlDeviceGetCount() -> int:
    return len(_present())


def nvmlDeviceGetHandleByIndex(index: int) -> str:
    return _present()[index]


def nvmlDeviceGetUUID(handle: str) -> bytes:
    return handle.encode()


def nvmlDeviceGetName(handle: str) -> str:
    return "Tesla T4"


def nvmlDeviceGetUtilizationRates(handle: str) -> SimpleNamespace:
    return SimpleNamespace(gpu=83, memory=10)


def nvmlDeviceGetMemoryInfo(handle: str) -> SimpleNamespace:
    return SimpleNamespace(total=16 << 30, used=5_000_000_000, free=11 << 30)
