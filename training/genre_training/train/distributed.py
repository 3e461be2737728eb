"""Devices, precision, and training in several processes as `torchrun` starts them.

Every process draws the same batches, then loads and augments its own share of the clips. So the result depends on the
number of processes only by augmentation and dropout, whose random numbers differ between processes, by mixup, which
blends clips of one process, and by batch normalisation, which on CPUs sees a process's own clips only (CUDA
synchronises it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed, nn

from genre_runtime.errors import DeviceUnavailableError, GenreError, counted
from genre_training.data.track import DataError, Indices


class DeviceMemoryError(GenreError, MemoryError):
    """A GPU has less memory left than training or evaluation needs."""

    code = "device_memory"


@contextmanager
def memory_guard(device: torch.device) -> Iterator[None]:
    """Turn PyTorch's error for exhausted memory into a DeviceMemoryError of one line.

    Parameters
    ----------
    device : torch.device
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        first, *_ = str(error).split(" GPU ")  # counts and settings of the allocator follow
        raise DeviceMemoryError(f"{device}: {first.rstrip('.')}") from error


def choose_device(name: str = "auto") -> torch.device:
    """Return a device by name.

    Parameters
    ----------
    name : str
        `auto`, `cpu`, `cuda` or `cuda:N`. `auto` takes a CUDA device if there is one, otherwise the CPU; `auto` and
        `cuda` prefer a discrete device to an integrated one, then the one with the most free memory.

    Raises
    ------
    DeviceUnavailableError
        There is no such device.
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
    """Return bfloat16 if the device computes faster with it than with float32, otherwise None.

    Parameters
    ----------
    device : torch.device
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older releases
    return torch.bfloat16 if capabilities.get("avx512_bf16") else None


PATIENCE = timedelta(days=1)
"""The other processes wait while the first computes features, which takes hours for a large data set."""


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, if it did; yields this process's device.

    Parameters
    ----------
    device : torch.device
        With several processes on CUDA, each takes the device of its local rank instead.
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
    """Return the number of this process, 0 if it is alone."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def n_processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def first_process_first() -> Iterator[None]:
    """Run the block in process 0 first, then in the others, which find its result on disk."""
    if rank() > 0:
        distributed.barrier()
    yield
    if n_processes() > 1 and rank() == 0:
        distributed.barrier()


def share_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a network so that a backward pass averages gradients over all processes, if there are several.

    Parameters
    ----------
    network : nn.Module
    device : torch.device
    """
    if n_processes() == 1:
        return network
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return nn.parallel.DistributedDataParallel(network, device_ids=[device.index])
    return nn.parallel.DistributedDataParallel(network)


def own_share(batch: Indices) -> Indices:
    """Return this process's clips of a batch.

    Parameters
    ----------
    batch : int array, shape (batch,)

    Raises
    ------
    DataError
        The size of the batch is not a multiple of the number of processes.
    """
    if len(batch) % n_processes():
        raise DataError(
            f"a batch of {counted(len(batch), 'clip')} cannot be shared by {n_processes()} processes: choose a "
            "batch_size that is a multiple of their number, and no larger than the number of training clips"
        )
    return batch[rank() :: n_processes()]


def mean_over_processes(value: float, device: torch.device) -> float:
    """Average a number over all processes.

    Parameters
    ----------
    value : float
    device : torch.device
        Device of this process.
    """
    if n_processes() == 1:
        return value
    total = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return float(total.item() / n_processes())


def union_over_processes(values: set[int]) -> set[int]:
    """Return what is in the set of any process.

    Parameters
    ----------
    values : set of int
        Those of this process.
    """
    if n_processes() == 1:
        return values
    gathered: list[set[int]] = [set() for _ in range(n_processes())]
    distributed.all_gather_object(gathered, values)
    return set().union(*gathered)
