"""One replica of torchft's LocalSGD: ``python -m peers.torchft_replica REQUEST``.

Runs in an interpreter that has torchft. It says when it is ready, waits for a line, and says when
a round is committed; at the end what came out. The batches of a round are a function of its
number, so that what differs after a death is torchft's doing alone.
"""

import json
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore
from torchft.local_sgd import LocalSGD
from torchft.manager import Manager
from torchft.process_group import ProcessGroupGloo

from peers.serve import own_standard_output
from peers.torch_rows import load_rows
from peers.torch_training import Plan, batches, loss_of, network, optimiser_of, step
from torch_digest import digest
from torch_models import evaluated

_DEADLINE = timedelta(seconds=30)


@dataclass(frozen=True)
class Request:
    """Which of how many replicas this is, and what all of them train."""

    folder: str
    lighthouse: str
    replica: int
    replicas: int
    rounds: int
    steps: int
    """In a round."""
    fit: tuple[int, int]
    score: tuple[int, int]
    plan: dict[str, Any]


def main() -> None:
    request = Request(**json.loads(sys.argv[1]))
    answers = own_standard_output()

    def tell(**what: Any) -> None:
        print(json.dumps(what), file=answers, flush=True)

    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    plan = Plan(**request.plan)
    start, stop = request.fit
    X, y = load_rows(Path(request.folder), start + request.replica, stop)
    # Every process has its share of the rows, as each of our partitions.
    X, y = X[:: request.replicas], None if y is None else y[:: request.replicas]
    model = network(plan)
    tell(ready=True)
    sys.stdin.readline()
    _train(request, plan, model, X, y, tell)
    scored = load_rows(Path(request.folder), *request.score)
    tell(digest=digest(model.state_dict()), score=evaluated(plan.what.score, model, *scored))


def _train(request: Request, plan: Plan, model: Any, X: Any, y: Any, tell: Any) -> None:
    optimiser, loss = optimiser_of(model, plan), loss_of(model, plan)

    def load(state: dict[str, Any]) -> None:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])

    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    manager = Manager(
        pg=ProcessGroupGloo(_DEADLINE),
        load_state_dict=load,
        state_dict=lambda: {"model": model.state_dict(), "optimiser": optimiser.state_dict()},
        min_replica_size=1,
        use_async_quorum=False,  # LocalSGD asks for it
        timeout=_DEADLINE,
        rank=0,
        world_size=1,
        store_addr="127.0.0.1",
        store_port=store.port,
        lighthouse_addr=request.lighthouse,
        replica_id=f"replica_{request.replica}",
        hostname="127.0.0.1",
    )
    try:
        with LocalSGD(manager, model, optimiser, sync_every=request.steps):
            while (at := manager.current_step()) < request.rounds:
                for batch in _batches_of(at, request.steps, X, y, plan):
                    step(batch, loss, optimiser)
                tell(round=manager.current_step(), at=time.monotonic())
    finally:
        manager.shutdown(wait=False)


def _batches_of(round: int, steps: int, X: Any, y: Any, plan: Plan) -> Any:
    generator = torch.Generator().manual_seed(1_000_003 * plan.seed + round)
    order = torch.randperm(len(X), generator=generator)[: steps * plan.batch]
    return batches(X, y, order, plan.batch)


if __name__ == "__main__":
    main()
