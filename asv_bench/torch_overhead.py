"""What a step costs more than in the user's own loop: ``python -m torch_overhead [--quick]``.

An MLP of one hidden layer, 128 rows a step, as wide as makes a step of the loop take about 0.3, 1,
3 and 10 ms of one thread. Ours has all rows in one partition: NumPy in memory, without a cluster,
and on one worker process. An epoch has as many steps as 50,000 images make, which is a round by
`sync_every="epoch"`; the first is not counted. "more" is ours over theirs less one, in per cent, in
pairs: median (lowest - highest).
`PEERS_TORCH_PYTHON` names the interpreter of the loop, by default this one.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from typing import Any

import torch_ours
import torch_peers
from peers.options import Options
from peers.other_interpreter import Server
from peers.table import aligned
from torch_data import Samples, data
from torch_measure import Cost
from torch_tasks import TASKS

MILLISECONDS = (0.3, 1.0, 3.0, 10.0)
WIDTHS = tuple(8 * 2**i for i in range(10))
TASK = TASKS["mlp"]
_HEADER = ("step, ms", "width", "ours", "more, by the clock, %", "more, by processors, %")
WAYS: dict[str, Callable[..., Cost]] = {
    "in memory": torch_ours.cost_in_memory,
    "one worker process": lambda *given, **named: torch_ours.cost(*given, partitions=1, **named),
}


def milliseconds(cost: Cost) -> float:
    """Return what a step takes of a processor."""
    return 1e3 * TASK.batch / cost.rate_of_cpu


def loop(server: Server, samples: Samples, width: int, epochs: int) -> Cost:
    rows = {"fit": (0, len(samples)), "module": {"width": width}}
    return torch_peers.cost(server, torch_peers.LOOP, TASK, samples, epochs, **rows)


def widths(server: Server, samples: Samples) -> dict[int, float]:
    """Return the widths of steps nearest to the milliseconds asked for, and what they take."""
    some = samples[: 20 * TASK.batch]
    takes = {width: milliseconds(loop(server, some, width, epochs=3)) for width in WIDTHS}
    nearest = {min(takes, key=lambda width: abs(takes[width] / ms - 1)) for ms in MILLISECONDS}
    return {width: takes[width] for width in sorted(nearest)}


def measure(server: Server, samples: Samples, width: int, epochs: int, pairs: int) -> Any:
    """Return, for each way, the costs of the loop and ours in pairs."""
    module = {"module__width": width, "sync_every": "epoch"}
    found: dict[str, list[tuple[Cost, Cost]]] = {way: [] for way in WAYS}
    for _ in range(pairs):
        for way, ours in WAYS.items():
            theirs = loop(server, samples, width, epochs)
            found[way].append((ours(TASK, samples, epochs=epochs, **module), theirs))
    return found


def more(values: list[float]) -> str:
    percent = [100 * (value - 1) for value in values]
    return f"{statistics.median(percent):+.1f} ({min(percent):+.1f} - {max(percent):+.1f})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two widths, few rows, one pair")
    parser.add_argument("--pairs", type=int, help="7, or 1 with --quick")
    parser.add_argument("--epochs", type=int, default=4, help="of a run; 4")
    parser.add_argument("--peers-only", action="store_true", help="the widths that are chosen")
    given = parser.parse_args(arguments)
    samples = data(TASK.name, given.quick).train
    pairs = given.pairs or (1 if given.quick else 7)
    lines: list[tuple[str, ...]] = [_HEADER]
    with torch_peers.pytorch(samples) as server:
        for width, takes in list(widths(server, samples).items())[: 2 if given.quick else None]:
            Options().say(f"width {width}: {takes:.2f} ms")
            if given.peers_only:
                lines.append((f"{takes:.2f}", str(width), "", "", ""))
                continue
            found = measure(server, samples, width, given.epochs, pairs)
            for way, costs in found.items():
                clock = [theirs.rate / ours.rate for ours, theirs in costs]
                cpu = [theirs.rate_of_cpu / ours.rate_of_cpu for ours, theirs in costs]
                step = statistics.median(milliseconds(theirs) for _, theirs in costs)
                lines.append((f"{step:.2f}", str(width), way, more(clock), more(cpu)))
    print(aligned(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
