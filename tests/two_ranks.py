"""Two processes of a training, without Ray."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import torch.multiprocessing

LOADED_ONCE = ["torch._dynamo", "raydance.systems.dance_language.system"]


def start_two(work: Callable[..., None], *arguments: Any) -> None:
    """Call `work(rank, *arguments)` in one process for each of two ranks, and wait for both."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(LOADED_ONCE)
    torch.multiprocessing.start_processes(work, args=arguments, nprocs=2, start_method="forkserver")
