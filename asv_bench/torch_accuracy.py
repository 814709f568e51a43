"""What averaging costs in accuracy: ``python -m torch_accuracy mlp|cnn|gpt [--quick]``.

Ours in two partitions, each of which takes the task's batch a step, or with `--shared` half of it,
so that both sides take as many steps, beside the user's own loop in one process, for equal epochs.
Each side's learning rate is the best of `--rates` in validation, by the mean of the seeds; at that
rate it trains on those samples and the validation's, from each seed, and is judged on the test's:
accuracy in per cent, of the GPT the loss of a token in nats.
`PEERS_TORCH_PYTHON` names the interpreter of the loop, by default this one.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch_ours
import torch_peers
from peers.accuracy import deviation
from peers.options import Options
from peers.table import aligned
from torch_data import Data, data
from torch_tasks import TASKS, Task

Train = Callable[[str, float, int], float]
"""Train on the part "validation" or "test" at a rate from a seed; return the score."""


@dataclass(frozen=True)
class Result:
    """A side at the rate that was best in validation."""

    rate: float
    validation: Mapping[float, Sequence[float]]
    test: Sequence[float]


def judge(
    task: Task, who: str, train: Train, rates: Sequence[float], seeds: Sequence[int]
) -> Result:
    options = Options()
    validation = {}
    for rate in rates:
        validation[rate] = [train("validation", rate, seed) for seed in seeds]
        options.say(f"{who}: rate {rate:g}, validation {validation[rate]}")
    best = max(rates, key=lambda rate: task.better * statistics.mean(validation[rate]))
    test = [train("test", best, seed) for seed in seeds]
    options.say(f"{who}: rate {best:g}, test {test}")
    return Result(best, validation, test)


def ours(task: Task, parts: Data, executor: Any, epochs: int, arguments: dict[str, Any]) -> Train:
    """Two partitions, whose samples lie on the Workers for as long as a part is trained on."""
    held: dict[str, Any] = {}

    def train(part: str, rate: float, seed: int) -> float:
        fit, scored = parts.part(part)
        if part not in held:
            held.clear()
            held[part] = torch_ours.on_workers(executor, task, fit, torch_ours.WORKERS)
        model = torch_ours.estimator(
            task,
            torch_ours.WORKERS,
            lr=rate,
            max_epochs=epochs,
            random_state=seed,
            **arguments,
        ).fit(*held[part])
        _check_variances(model.state_dict_)
        return torch_ours.score(task, model, scored)

    return train


def _check_variances(tensors: Mapping[str, Any]) -> None:
    """Raise where averaging made the variances of a batch normalization what none can be."""
    for name, tensor in tensors.items():
        if name.endswith("running_var") and float(tensor.min()) <= 0:
            raise RuntimeError(f"{name} has {float(tensor.min())}; a variance is above zero")


def own_loop(task: Task, parts: Data, server: Any, epochs: int) -> Train:
    def train(part: str, rate: float, seed: int) -> float:
        asked = {"batch": task.batch, "rate": rate, "seed": seed, **parts.ranges(part)}
        score: float = torch_peers.ask(server, task, epochs=epochs, **asked)["score"]
        return score

    return train


def render(task: Task, results: Mapping[str, Result]) -> str:
    """Return the table; the last column is how much better than the one process a side is."""
    factor, unit = (100, "%") if task.better > 0 else (1, "nats")
    lines = [("who", "rate", f"validation, {unit}", f"test, {unit} (std)", "better by")]
    alone = statistics.mean(results[torch_peers.LOOP].test)
    for who, result in results.items():
        validation = ", ".join(
            f"{rate:g}: {factor * statistics.mean(scores):.3f}"
            for rate, scores in result.validation.items()
        )
        mean, spread = factor * statistics.mean(result.test), factor * deviation(result.test)
        by = "" if who == torch_peers.LOOP else f"{task.better * (mean - factor * alone):+.3f}"
        lines.append((who, f"{result.rate:g}", validation, f"{mean:.3f} ({spread:.3f})", by))
    return aligned(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m torch_accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("task", choices=list(TASKS))
    add("--quick", action="store_true", help="few samples, two rates and one seed: does it run")
    add("--epochs", type=int, help="10; of the GPT 2")
    add("--seeds", type=int, help="3; 1 with --quick")
    add("--rates", type=float, nargs="+", help="to choose from")
    add("--shared", action="store_true", help="one batch for both partitions")
    add("--codec", help="compression of our changes: fp16, topk:0.01")
    add("--outer", default="auto", help="our rule of averaging: average, nesterov; auto")
    add("--sync-every", default="auto", help="our steps between averages, or epoch; auto")
    add("--peers-only", action="store_true", help="without ours")
    given = parser.parse_args(arguments)
    task = TASKS[given.task]
    epochs = given.epochs or (2 if given.quick or task.name == "gpt" else 10)
    rates = given.rates or (task.rates[:2] if given.quick else task.rates)
    seeds = range(given.seeds or (1 if given.quick else 3))
    parts = data(task.name, given.quick)
    results = {}
    with torch_peers.pytorch(parts.rows) as server:
        train = own_loop(task, parts, server, epochs)
        results[torch_peers.LOOP] = judge(task, torch_peers.LOOP, train, rates, seeds)
    if not given.peers_only:
        steps = int(given.sync_every) if given.sync_every.isdecimal() else given.sync_every
        averaging = {"compression": given.codec, "outer": given.outer, "sync_every": steps}
        if given.shared:
            averaging["batch_size"] = task.batch
        with torch_ours.workers() as executor:
            train = ours(task, parts, executor, epochs, averaging)
            results["ours"] = judge(task, "ours", train, rates, seeds)
    print(render(task, results))


if __name__ == "__main__":
    main(sys.argv[1:])
