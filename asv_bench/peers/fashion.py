"""Test accuracy on Fashion-MNIST: ``python -m peers.fashion [GROUP ...]``.

A network 784-128-10 for ten epochs, 128 rows a step in all partitions together. Each side's
learning rate is the one that is best on 10,000 training rows set apart; at that rate it then
trains on all 60,000 rows. Groups: "sides" (ours, and those who have all rows in one process),
"bytes" (ours, by how often models are averaged and how their changes are compressed), "sorted"
(ours, on partitions that hold rows sorted by label).
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from daskml_exec import Executor
from peers import fashion_sides as sides
from peers import images, ours
from peers.accuracy import Contender, judge, render
from peers.fashion_sides import Study
from peers.options import Options
from peers.other_interpreter import TORCH, PeerUnavailableError, running

_RATES = (1e-3, 2e-3, 4e-3)
_SYNC_EVERY = (1, 10, 50, "epoch")
_COMPRESSION = (None, "fp16", "topk:0.01")


@dataclass(frozen=True)
class Given:
    """What the groups are made of."""

    stack: ExitStack
    executor: Executor
    study: Study
    sync_every: tuple[Any, ...]
    compression: tuple[str | None, ...]
    scikit_learn: bool
    missing: list[str]


def by_side(given: Given) -> list[Contender]:
    own = partial(sides.daskml_exec, given.executor, given.study, "sides")
    contenders = [own({}), own({"sync_every": "epoch"}), own({}, partitions=1)]
    if given.scikit_learn:
        contenders.append(sides.scikit_learn(given.study, "sides"))
    try:
        server = given.stack.enter_context(running(TORCH, given.study.rows()))
        contenders.append(sides.pytorch(server, given.study, "sides"))
    except PeerUnavailableError as missing:
        given.missing.append(str(missing))
    return contenders


def by_bytes(given: Given) -> list[Contender]:
    return [
        sides.daskml_exec(
            given.executor,
            given.study,
            "bytes",
            {"sync_every": sync_every, "compression": compression},
        )
        for sync_every in given.sync_every
        for compression in given.compression
    ]


def by_order(given: Given) -> list[Contender]:
    own = partial(sides.daskml_exec, given.executor, given.study, "sorted", by_label=True)
    return [own({"shuffle": True}), own({"shuffle": "partitions"}), own({"sync_every": 10})]


GROUPS: dict[str, Callable[[Given], list[Contender]]] = {
    "sides": by_side,
    "bytes": by_bytes,
    "sorted": by_order,
}


def main(arguments: list[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    if unknown := set(given.groups) - set(GROUPS):
        raise SystemExit(f"GROUP {', '.join(sorted(unknown))}; allowed are {', '.join(GROUPS)}")
    options = Options(tiny=given.scale == "tiny")
    choosing = range(given.choosing_seeds or given.seeds)
    results, missing = [], []
    try:
        with ExitStack() as stack:
            parts = Given(
                stack,
                stack.enter_context(ours.two_workers(options)),
                _study(options, given.epochs),
                tuple(given.sync_every),
                tuple(given.compression),
                given.scikit_learn,
                missing,
            )
            for group in given.groups or GROUPS:
                for contender in GROUPS[group](parts):
                    results.append(
                        judge(contender, given.rates, choosing, range(given.seeds), options)
                    )
    finally:  # what there is by now has taken long
        if results:
            print(render(results))
        for remark in missing:
            print(remark)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m peers.fashion",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("groups", metavar="GROUP", nargs="*", help=f"of {', '.join(GROUPS)}; all")
    add("--seeds", type=int, default=5, help="fits at the rate chosen; 5")
    add("--choosing-seeds", type=int, help="fits at each rate; as many as --seeds")
    add("--rates", type=float, nargs="+", default=_RATES, help="to choose from; 1e-3 2e-3 4e-3")
    add("--epochs", type=int, default=10, help="10")
    add("--sync-every", type=_sync_every, nargs="+", default=_SYNC_EVERY, metavar="STEPS")
    add("--compression", type=_compression, nargs="+", default=_COMPRESSION, metavar="CODEC")
    add("--scikit-learn", action="store_true", help="as a side, too")
    add("--scale", choices=["full", "tiny"], default="full", help="tiny: does it run")
    return parser


def _sync_every(text: str) -> int | str:
    """Steps, "epoch" or "auto"."""
    return int(text) if text.isdecimal() else text


def _compression(text: str) -> str | None:
    return None if text == "none" else text


def _study(options: Options, epochs: int) -> Study:
    if options.tiny:
        return sides.study(images.synthetic(600), images.synthetic(200, seed=1), 100, epochs)
    try:
        train, test = (images.fashion_mnist(part) for part in ("train", "t10k"))
    except PeerUnavailableError as missing:
        raise SystemExit(str(missing)) from missing
    return sides.study(train, test, 10_000, epochs)


if __name__ == "__main__":
    main()
