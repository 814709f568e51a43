"""PyTorch's DistributedDataParallel on gloo: processes of one thread on this machine.

Runs in an interpreter that has PyTorch.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from peers.storage import load_X, load_y
from peers.torch_training import Plan, loss_of, network, train


def train_together(folder: Path, rows: int, plan: Plan, processes: int) -> list[float]:
    """Return the seconds of each epoch, as the first process counted them."""
    answers = mp.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as there:
        store = f"file://{there}/store"
        mp.spawn(_run, (processes, store, folder, rows, plan, answers), nprocs=processes)
    return answers.get()


def _run(
    rank: int, processes: int, store: str, folder: Path, rows: int, plan: Plan, answers: Any
) -> None:
    # Found by name otherwise, and that is not the loopback everywhere.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=processes)
    try:
        X, y = torch.from_numpy(load_X(folder, 0, rows)), torch.from_numpy(load_y(folder, 0, rows))
        model = DistributedDataParallel(
            network(plan, X.shape[1]), gradient_as_bucket_view=True, static_graph=True
        )
        dist.barrier()
        seconds = train(X, y, model, loss_of(model), plan, rank, processes)
        if rank == 0:
            answers.put(seconds)
    finally:
        dist.destroy_process_group()
