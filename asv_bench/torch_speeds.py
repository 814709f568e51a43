"""How fast a module is trained: ``python -m torch_speeds mlp|cnn|gpt [--quick]``.

Ours on two worker processes of one thread, beside the user's own loop on one thread and
DistributedDataParallel on gloo in two processes of one thread; each step takes the task's batch in
every process, or with `--shared` in all of them together. They take turns, and one of our clusters
is open at a time. What comes before the end of the first round, and the peers' first epoch, are not
counted.

"by the clock" and "by processors" are ours over theirs in pairs: median (lowest - highest). The
processors' seconds are those of the worker processes, or of the peers' processes; on a machine of
one's own twice their ratio to the own loop is the most that two Workers reach by the clock.
`PEERS_TORCH_PYTHON` names the interpreter of the peers, by default this one.
"""

import argparse
import statistics
import sys

import torch_ours
import torch_peers
from peers.options import Options
from peers.table import aligned
from torch_data import data
from torch_measure import Cost, compared
from torch_tasks import TASKS, Task

_HEADER = ("who", "per second", "per processor second", "ours, by the clock", "by processors")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_speeds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--quick", action="store_true", help="few samples, one pair: does it run")
    parser.add_argument("--pairs", type=int, help="runs of each side; 5, or 1 with --quick")
    parser.add_argument("--epochs", type=int, default=4, help="of a run; 4")
    parser.add_argument("--shared", action="store_true", help="one batch for all processes")
    parser.add_argument("--peers-only", action="store_true", help="without ours")
    given = parser.parse_args(arguments)
    if given.epochs < 2:
        parser.error(f"--epochs {given.epochs}; allowed are 2 and more: the first is not counted")
    task = TASKS[given.task]
    pairs = given.pairs or (1 if given.quick else 5)
    costs = measure(
        task, given.quick, pairs, given.epochs, given.shared, with_ours=not given.peers_only
    )
    print(render(task, costs))


def measure(
    task: Task, quick: bool, pairs: int, epochs: int, shared: bool, *, with_ours: bool = True
) -> dict[str, list[Cost]]:
    """Return the costs of each side, in turns; ours, if it is among them, stands first."""
    samples = data(task.name, quick).train[: task.timed]
    found: dict[str, list[Cost]] = {"ours": []} if with_ours else {}
    found |= {who: [] for who in torch_peers.PROCESSES}
    options = Options()
    batch = {"batch_size": task.batch} if shared else {}
    with torch_peers.pytorch(samples) as server:
        for _ in range(pairs):
            for who, costs in found.items():
                if who == "ours":
                    costs.append(torch_ours.cost(task, samples, epochs=epochs, **batch))
                else:
                    costs.append(
                        torch_peers.cost(server, who, task, samples, epochs, shared=shared)
                    )
                options.say(f"{who}: {costs[-1].rate:,.0f} {task.unit} a second")
    return found


def render(task: Task, found: dict[str, list[Cost]]) -> str:
    lines = [_HEADER]
    for who, costs in found.items():
        rates = [
            f"{statistics.median(values):,.0f} {task.unit}"
            for values in ([cost.rate for cost in costs], [cost.rate_of_cpu for cost in costs])
        ]
        ratios = compared(found["ours"], costs) if "ours" in found and who != "ours" else ("", "")
        lines.append((who, *rates, *ratios))
    return aligned(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
