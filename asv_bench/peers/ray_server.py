"""Ray Train's TorchTrainer on two processes: ``python -m peers.ray_server FOLDER``.

Runs in an interpreter that has Ray and PyTorch. It trains by DDP on gloo, saves a checkpoint after
each round, and may start again from the last one. A request says what to train (`rounds` of
`steps`, `fit`, `score`, `plan`) and, with `kill`, after which round a process is killed.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import ray
import torch
from ray import train
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from peers.serve import respond
from peers.torch_rows import load_rows
from peers.torch_training import Plan, batches, loss_of, network, optimiser_of, step
from torch_digest import digest
from torch_models import evaluated

PROCESSES = 2
_POLL = 0.005


def train_rounds(asked: dict[str, Any]) -> None:
    """Train on one process; note the end of each round in a file that the driver reads."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    rank, plan = train.get_context().get_world_rank(), Plan(**asked["plan"])
    start, stop = asked["fit"]
    X, y = load_rows(Path(asked["folder"]), start + rank, stop)
    X, y = X[::PROCESSES], None if y is None else y[::PROCESSES]
    own = network(plan)
    optimiser = optimiser_of(own, plan)
    first = 0
    if checkpoint := train.get_checkpoint():
        with checkpoint.as_directory() as folder:
            state = torch.load(Path(folder) / "state.pt")
        own.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["round"] + 1
    loss = loss_of(train.torch.prepare_model(own), plan)
    for number in range(first, asked["rounds"]):
        generator = torch.Generator().manual_seed(1_000_003 * plan.seed + number)
        order = torch.randperm(len(X), generator=generator)[: asked["steps"] * plan.batch]
        for batch in batches(X, y, order, plan.batch):
            step(batch, loss, optimiser)
        _report(own, optimiser, number, rank)
        _note(asked, rank, round=number, at=time.monotonic(), pid=os.getpid())
    if rank == 0:
        scored = load_rows(Path(asked["folder"]), *asked["score"])
        score = evaluated(plan.what.score, own, *scored)
        _note(asked, rank, digest=digest(own.state_dict()), score=score)


def _report(own: Any, optimiser: Any, number: int, rank: int) -> None:
    if rank > 0:
        train.report({"round": number})
        return
    with tempfile.TemporaryDirectory() as folder:
        state = {"model": own.state_dict(), "optimiser": optimiser.state_dict(), "round": number}
        torch.save(state, Path(folder) / "state.pt")
        train.report({"round": number}, checkpoint=Checkpoint.from_directory(folder))


def _note(asked: dict[str, Any], rank: int, **what: Any) -> None:
    with (Path(asked["notes"]) / f"{rank}.jsonl").open("a") as file:
        print(json.dumps(what), file=file)


def _noted(notes: Path, rank: int) -> list[dict[str, Any]]:
    path = notes / f"{rank}.jsonl"
    # A line that is just being written has no end yet.
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def kill_after(rounds: int, notes: Path) -> None:
    """Kill the second process in the middle of the round after so many."""
    while len(said := _noted(notes, 1)) < rounds:
        time.sleep(_POLL)
    before, after = said[-2:]
    time.sleep((after["at"] - before["at"]) / 2)
    os.kill(after["pid"], signal.SIGKILL)


def answer(folder: str, *, kill: int | None = None, **asked: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as there:
        notes = Path(there) / "notes"
        notes.mkdir()
        if kill is not None:
            threading.Thread(target=kill_after, args=(kill, notes), daemon=True).start()
        result = TorchTrainer(
            train_rounds,
            train_loop_config={**asked, "folder": folder, "notes": str(notes)},
            scaling_config=ScalingConfig(num_workers=PROCESSES),
            torch_config=TorchConfig(backend="gloo"),
            run_config=RunConfig(
                storage_path=f"{there}/storage",
                failure_config=FailureConfig(max_failures=1),
                checkpoint_config=CheckpointConfig(num_to_keep=1),
            ),
        ).fit()
        if result.error is not None:
            raise result.error
        *rounds, end = _noted(notes, 0)
    numbers = [line["round"] for line in rounds]
    return {
        "seconds": rounds[-1]["at"] - rounds[0]["at"],
        "digests": [end["digest"]],
        "score": end["score"],
        "remark": f"{len(numbers) - len(set(numbers))} rounds trained again by the first process",
    }


def main() -> None:
    here = str(Path(__file__).parents[1])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Of this cluster alone; Ray would draw one, and leave it in the user's home.
    os.environ["RAY_AUTH_TOKEN"] = uuid.uuid4().hex
    ray.init(
        num_cpus=PROCESSES,
        include_dashboard=False,
        object_store_memory=100 * 1024**2,
        _node_ip_address="127.0.0.1",
        runtime_env={"env_vars": {"PYTHONPATH": here, "GLOO_SOCKET_IFNAME": "lo"}},
        log_to_driver=False,
    )
    try:
        respond(lambda request: answer(sys.argv[1], **request))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
