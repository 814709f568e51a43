"""Whether a fit's bits depend on the Workers: ``python -m torch_bits [mlp cnn gpt] [--quick]``.

Prints a hash of the bits of all weights and buffers after a fit on three partitions, on 1, 2 and 3
Workers, in threads and in processes, and on two processes of which one is killed in the middle of a
round. All hashes of a task have to be the same; the exit status is 1 where they are not.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch_ours
from daskml_exec import Executor
from peers.table import aligned
from torch_data import Samples, data
from torch_digest import digest
from torch_killer import Killer
from torch_tasks import TASKS, Task

PARTITIONS = 3
SAMPLES = {"mlp": 1_200, "cnn": 600, "gpt": 96}
QUICK = ((2, False, False), (1, True, False), (2, True, True))
ALL = (
    *((n, processes, False) for processes in (False, True) for n in (1, 2, 3)),
    (2, True, True),
)
"""Workers, whether they are processes, and whether one of them is killed."""


def fitted(executor: Executor, task: Task, samples: Samples, kill: bool, **arguments: Any) -> Any:
    """Train with a batch and a synchronisation that make some rounds; perhaps kill a Worker."""
    X, y = torch_ours.on_workers(executor, task, samples, PARTITIONS)
    killer = Killer(executor.workers()[0].pid) if kill else None
    model = torch_ours.estimator(
        task,
        PARTITIONS,
        batch_size=PARTITIONS * max(task.batch // 8, 4),
        sync_every=4,
        callbacks=[killer] if killer else None,
        **arguments,
    ).fit(X, y)
    if killer and not model.history_.workers_lost:
        raise RuntimeError("the fit ended before a Worker was killed; it needs more rounds")
    return model


def hashes(task: Task, quick: bool, tell: Callable[[tuple[str, ...]], None]) -> set[str]:
    """Train everywhere, tell each hash, and return them."""
    samples = data(task.name, quick=True).train[: SAMPLES[task.name]]
    found = set()
    for n, processes, kill in QUICK if quick else ALL:
        with torch_ours.workers(n, processes=processes) as executor:
            model = fitted(executor, task, samples, kill, max_epochs=2 if quick else 4)
        found.add(of_model := digest(model.state_dict_))
        where = "processes" if processes else "threads"
        tell((task.name, str(n), where, "one killed" if kill else "", of_model))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m torch_bits",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tasks", nargs="*", help=f"of {', '.join(TASKS)}; all")
    parser.add_argument("--quick", action="store_true", help="three ways, fewer epochs")
    given = parser.parse_args(arguments)
    if unknown := set(given.tasks) - set(TASKS):
        parser.error(f"{', '.join(sorted(unknown))}; allowed are {', '.join(TASKS)}")
    lines: list[tuple[str, ...]] = [("task", "Workers", "in", "", "bits")]
    differ = [
        name
        for name in given.tasks or TASKS
        if len(hashes(TASKS[name], given.quick, lines.append)) > 1
    ]
    print(aligned(lines))
    print(f"DIFFERENT: {', '.join(differ)}" if differ else "all equal")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
