"""Where training runs and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from genre_runtime.errors import DeviceUnavailableError, GenreError


class DeviceMemoryError(GenreError, MemoryError):
    """A GPU has less memory left than training or evaluation needs."""

    code = "device_memory"


@contextmanager
def memory_guard(device: torch.device) -> Iterator[None]:
    """Turn what PyTorch raises when the memory of `device` is used up into a DeviceMemoryError of one line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        first, *_ = str(error).split(" GPU ")  # what follows are counts, and settings of the allocator
        raise DeviceMemoryError(f"{device}: {first.rstrip('.')}") from error


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called `name`: `auto`, `cpu`, `cuda` or `cuda:N`.

    `auto` takes a CUDA device, or the CPU when there is none; `auto` and `cuda` take a discrete device before an
    integrated one, then the one with the most free memory.

    Raises
    ------
    DeviceUnavailableError
        A device asked for by name is not there.
    """
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = ("cpu", *(f"cuda:{i}" for i in range(n_cuda)))
    if name == "auto" or (name == "cuda" and n_cuda):
        if not n_cuda:
            return torch.device("cpu")
        return torch.device("cuda", max(range(n_cuda), key=_preference))
    if name not in available:
        raise DeviceUnavailableError(name, available, "PyTorch finds no such device")
    return torch.device(name)


def _preference(index: int) -> tuple[bool, int]:
    integrated = bool(getattr(torch.cuda.get_device_properties(index), "is_integrated", False))
    return not integrated, torch.cuda.mem_get_info(index)[0]


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes in it faster than in float32, else None."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None
