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

from peers.torch_rows import load_rows
from peers.torch_training import Epochs, Plan, loss_of, network, train


def train_together(folder: Path, rows: int, plan: Plan, processes: int) -> Epochs:
    """Return the seconds that the first process counted, and those of all their processors."""
    answers = mp.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as there:
        store = f"file://{there}/store"
        mp.spawn(_run, (processes, store, folder, rows, plan, answers), nprocs=processes)
    found: dict[int, Epochs] = dict(answers.get() for _ in range(processes))
    cpu = [sum(of_each) for of_each in zip(*(of.cpu for of in found.values()), strict=True)]
    return Epochs(found[0].seconds, cpu)


def _run(
    rank: int, processes: int, store: str, folder: Path, rows: int, plan: Plan, answers: Any
) -> None:
    # Found by name otherwise, and that is not the loopback everywhere.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=processes)
    try:
        X, y = load_rows(folder, 0, rows)
        model = DistributedDataParallel(
            network(plan), gradient_as_bucket_view=True, static_graph=True
        )
        dist.barrier()
        answers.put((rank, train(X, y, model, loss_of(model, plan), plan, rank, processes)))
    finally:
        dist.destroy_process_group()
