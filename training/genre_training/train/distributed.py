"""Where training runs and in which precision.

Several processes on one training, as `torchrun` starts them: each takes its share of every batch.

Every process draws the same batches and augments them with the same random numbers, then keeps its own clips. So
the result depends on the number of processes only through masks and dropout, which are each process's own, and
through batch normalisation, which on CPUs sees a process's own clips alone (CUDA synchronises it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from genre_runtime.errors import DeviceUnavailableError, GenreError
from genre_training.data.track import DataError


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


PATIENCE = timedelta(days=1)
"""The others wait while the first computes features, which takes hours for a large data set."""


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, if it did; yields this process's device.

    Several processes on CUDA take one device each, by their local rank.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield device
        return
    cuda = device.type == "cuda"
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        if cuda:
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        yield device
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def n_processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let process 0 through alone, the others when it is done: for work whose result they find on disk."""
    if rank() > 0:
        distributed.barrier()
    yield
    if n_processes() > 1 and rank() == 0:
        distributed.barrier()


def share_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a network so that a backward pass averages gradients over all processes; alone, return it as it is."""
    if n_processes() == 1:
        return network
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return nn.parallel.DistributedDataParallel(network, device_ids=[device.index])
    return nn.parallel.DistributedDataParallel(network)


def own_share(batch: Tensor) -> Tensor:
    """Return this process's clips of a batch.

    Raises
    ------
    DataError
        The number of processes does not divide the batch's size.
    """
    if len(batch) % n_processes():
        raise DataError(
            f"a batch of {len(batch)} clips cannot be shared by {n_processes()} processes: choose a batch_size that is "
            "a multiple of their number, and no larger than the number of training clips"
        )
    return batch[rank() :: n_processes()]


def mean_over_processes(value: float, device: torch.device) -> float:
    """Average a number over all processes."""
    if n_processes() == 1:
        return value
    total = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return float(total.item() / n_processes())
