"""What a round sends: ``python -m torch_bytes [mlp|cnn|gpt] [--quick]``, by default of the GPT.

For moments averaged with the weights, moments that stay on the Worker, and the changes of those
weights as fp16 and as the largest twentieth: the megabytes to and from one of two partitions,
median of the rounds that train after the first.
"""

import argparse
import statistics
import sys
from typing import Any

import torch_ours
from peers.table import aligned
from torch_data import data
from torch_tasks import TASKS, Task

LOCAL = {"optimizer_state": "local"}
WAYS: dict[str, dict[str, Any]] = {
    "moments averaged": {"optimizer_state": "average"},
    "moments local": LOCAL,
    "moments local, fp16": LOCAL | {"compression": "fp16"},
    "moments local, topk:0.05": LOCAL | {"compression": "topk:0.05"},
}
ROUNDS, STEPS = 6, 2


def megabytes(task: Task, way: dict[str, Any]) -> tuple[float, float]:
    """Return those sent to a partition in a round, and those that come back."""
    n = torch_ours.WORKERS
    samples = data(task.name, quick=True).train[: n * task.batch * STEPS]
    with torch_ours.workers(n, processes=False) as executor:
        X, y = torch_ours.on_workers(executor, task, samples, n)
        model = torch_ours.estimator(task, n, max_epochs=ROUNDS, sync_every=STEPS, **way).fit(X, y)
    rounds = [record for record in model.history_ if record.step == "train"][1:]
    out, back = (
        statistics.median(getattr(record, of) for record in rounds) / n / 1e6
        for of in ("bytes_out", "bytes_back")
    )
    return out, back


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_bytes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("task", nargs="?", choices=list(TASKS), default="gpt")
    parser.add_argument("--quick", action="store_true", help="the same: it takes half a minute")
    given = parser.parse_args(arguments)
    lines = [("MB a partition and round", "out", "back", "both")]
    for named, way in WAYS.items():
        out, back = megabytes(TASKS[given.task], way)
        lines.append((named, f"{out:.2f}", f"{back:.2f}", f"{out + back:.2f}"))
    print(aligned(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
