"""What the death of a worker costs: ``python -m torch_kills [mlp|cnn|gpt] [--quick]``.

Each side trains the same module on two processes of one thread, as many rounds of as many local
steps, once undisturbed and once with one process killed by SIGKILL in the middle of a round. The
seconds are those from the end of the first round on. "bits" says whether the disturbed result has
the bits of the undisturbed one, and whether two undisturbed ones agree.

Ours; torchft's LocalSGD, whose process is started anew at once; Ray Train's TorchTrainer, DDP on
gloo that saves a checkpoint each round and may start again from it. `PEERS_TORCHFT_PYTHON` and
`PEERS_RAY_PYTHON` name their interpreters, by default this one.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch_ours
from peers.options import Options
from peers.other_interpreter import OtherPeer, PeerUnavailableError, running
from peers.table import aligned
from torch_data import Data, data
from torch_digest import digest
from torch_killer import Killer
from torch_measure import Marks
from torch_tasks import TASKS, Task

TORCHFT = OtherPeer(
    "torchft",
    "peers.torchft_server",
    ("torchft",),
    "PEERS_TORCHFT_PYTHON",
    "pip install torchft numpy",
)
RAY = OtherPeer(
    "Ray Train",
    "peers.ray_server",
    ("torch", "ray.train.torch"),
    "PEERS_RAY_PYTHON",
    "pip install 'ray[train]' torch numpy",
)
PEERS = {"torchft LocalSGD": TORCHFT, "Ray Train, DDP": RAY}
KILL_AFTER = 3
"""Rounds."""


@dataclass(frozen=True)
class Run:
    """A training: how long it took, what came out, and what there is to say of it."""

    seconds: float
    digests: tuple[str, ...]
    score: float
    remark: str = ""


@dataclass(frozen=True)
class Work:
    """What each side trains."""

    task: Task
    parts: Data
    rounds: int
    steps: int

    @property
    def asked(self) -> dict[str, Any]:
        """What a peer is asked for; its batch is that of one process."""
        plan = {
            "task": self.task.name,
            "epochs": 0,
            "batch": self.task.batch,
            "rate": self.task.rate,
            "seed": 0,
        }
        of = {"rounds": self.rounds, "steps": self.steps, "plan": plan}
        return of | self.parts.ranges("validation")


def ours(work: Work, kill: bool) -> Run:
    n = torch_ours.WORKERS
    fit, scored = work.parts.part("validation")
    with torch_ours.workers(n) as executor:
        X, y = torch_ours.on_workers(executor, work.task, fit, n)
        marks = Marks(lambda: 0.0)  # whose processor counts not: a dead process has none
        callbacks: list[Any] = [marks]
        if kill:
            callbacks.append(Killer(executor.workers()[0].pid, at=KILL_AFTER))
        model = torch_ours.estimator(
            work.task,
            n,
            max_epochs=1_000,
            max_steps=work.rounds * work.steps,
            sync_every=work.steps,
            scheduler=None,  # as the peers, whose rates stay
            callbacks=callbacks,
        ).fit(X, y)
        lost = model.history_.workers_lost
    if kill and not lost:
        raise RuntimeError("the fit ended before its Worker was killed; give it more rounds")
    remark = f"{lost} Worker lost, {model.history_.tasks_recomputed} tasks run again"
    found = (digest(model.state_dict_),)
    return Run(marks.cost(1).seconds, found, torch_ours.score(work.task, model, scored), remark)


def compared(who: str, run: Callable[[bool], Run]) -> tuple[str, ...]:
    """Train twice undisturbed and once with a death; return a line of the table."""
    runs = []
    for kill in (False, False, True):
        runs.append(run(kill))
        Options().say(f"{who}{', with a death' * kill}: {runs[-1]}")
    calm, again, disturbed = runs
    same = "the undisturbed ones" if disturbed.digests == calm.digests else "others"
    repeatable = "equal" if again.digests == calm.digests else "differ"
    undisturbed = min(calm.seconds, again.seconds)
    return (
        who,
        f"{undisturbed:.1f}",
        f"{disturbed.seconds - undisturbed:+.1f}",
        same,
        repeatable,
        f"{calm.score:.4f}",
        f"{disturbed.score:.4f}",
        disturbed.remark,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_kills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("task", nargs="?", choices=list(TASKS), default="mlp")
    add("--quick", action="store_true", help="few samples, short rounds: does it run")
    add("--rounds", type=int, help="20; 8 with --quick")
    add("--steps", type=int, help="in a round; 200, or 20 with --quick")
    add("--only", choices=["ours", *PEERS], help="one side alone")
    add("--peers-only", action="store_true", help="without ours")
    given = parser.parse_args(arguments)
    rounds, steps = (
        given.rounds or (8 if given.quick else 20),
        given.steps or (20 if given.quick else 200),
    )
    if rounds <= KILL_AFTER + 1:
        parser.error(f"--rounds {rounds}; allowed are {KILL_AFTER + 2} and more")
    work = Work(TASKS[given.task], data(given.task, given.quick), rounds, steps)
    lines: list[tuple[str, ...]] = [
        ("who", "s", "more s", "bits", "two calm ones", "score", "with a death", "")
    ]
    missing = []
    if given.only in (None, "ours") and not given.peers_only:
        lines.append(compared("ours", lambda kill: ours(work, kill)))
    for who, peer in PEERS.items():
        if given.only not in (None, who):
            continue
        try:
            with ExitStack() as stack:
                server = stack.enter_context(running(peer, work.parts.rows))

                def run(kill: bool, server: Any = server) -> Run:
                    found = server.ask(work.asked | ({"kill": KILL_AFTER} if kill else {}))
                    return Run(**found | {"digests": tuple(found["digests"])})

                lines.append(compared(who, run))
        except PeerUnavailableError as error:
            missing.append(str(error))
    print("\n".join([aligned(lines), *missing]))


if __name__ == "__main__":
    main(sys.argv[1:])
