"""Where training runs: the device, bfloat16 where it works, several processes under torchrun."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor
from torch import distributed as dist

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[str, ...] = get_args(Device)


def available_devices() -> list[str]:
    """List the devices that this machine and this torch have, the best first."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [*(name for name, is_there in there.items() if is_there), "cpu"]


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this name; `auto` is the first of CUDA, MPS and CPU that is there.

    Under torchrun, process i of a machine gets its GPU i.

    Raises:
        ValueError: if the name is unknown, or this machine or this torch has no such device.
    """
    if name not in DEVICES:
        raise ValueError(f"`device` (={name!r}) must be one of {', '.join(DEVICES)}.")
    there = available_devices()
    if name == "auto":
        name, *_ = there
        if name == "mps" and is_parallel():
            name = "cpu"  # torch has no communication between processes for MPS
    if name not in there:
        have = ", ".join(there)
        raise ValueError(f"`device` (={name!r}) is not there; this machine has {have}.")
    return torch.device(name, int(os.environ.get("LOCAL_RANK", 0)) if name == "cuda" else None)


def bfloat16_works(device: torch.device) -> bool:
    """Say whether convolutions in bfloat16 are quick, and right, on this device.

    Without the instructions for it, a CPU computes in bfloat16 many times slower than in float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    return bool(supported())


def is_parallel() -> bool:
    """Say whether torchrun started several processes of this program."""
    return int(os.environ.get("WORLD_SIZE", 1)) > 1


def is_first_process() -> bool:
    """Say whether this process is the one that writes; they need not be connected yet."""
    return not is_parallel() or int(os.environ["RANK"]) == 0


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Connect the processes that torchrun started; alone, do nothing."""
    if not is_parallel():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def processes() -> tuple[int, int]:
    """Return the number of this process, from 0, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Add up, in place, what all processes hold; all get the sum."""
    if processes()[1] > 1:
        dist.all_reduce(values)
    return values


def any_process(flag: bool, device: torch.device) -> bool:
    """Say whether the flag is set in any process; all get the same answer."""
    if processes()[1] == 1:
        return flag
    return bool(sum_over_processes(torch.tensor(float(flag), device=device)) > 0)
