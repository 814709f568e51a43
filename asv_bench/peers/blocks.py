"""A wide network cut over two workers, beside PyTorch's tensor parallelism.

``cd asv_bench; python -m peers.blocks`` trains 784-4096-4096-10 in float32 by Adam on 256 rows a
step: on two worker processes of one thread with a block each, which talk over sockets as workers of
two machines would, or hand one another arrays in memory, and do so while Dask's monitors rest; on
one such worker with both blocks; by
PyTorch's tensor parallelism (gloo, two processes of one thread); and by PyTorch alone. They take
turns; ratios are of runs in turn. Two lines time the exchanges of a step without its arithmetic.
`PEERS_TORCH_PYTHON` names the interpreter that has PyTorch.
"""

import argparse
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import dask
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskml_exec import Executor
from daskml_exec.executor.peers import BlockExchange, Peer, PeerGroup
from daskml_exec.kernels.networks.blocks.cuts import BlockLayout
from daskml_exec.neural_network import MLPClassifier
from peers import images, ours, torch_tensor_parallel
from peers.other_interpreter import PeerUnavailableError
from peers.table import aligned, spread

BATCH, PARTITIONS, EPOCHS = 256, 4, 2
STEPS = 24
"""Of an epoch."""
HIDDEN = (4096, 4096)
EXCHANGES = 50
WAYS = {"sockets": False, "shared memory": True}
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
}
"""Of workers whose event loop seldom interrupts the thread that computes."""


@contextmanager
def worker_processes(n: int, **options: Any) -> Iterator[Executor]:
    with Executor(n_workers=n, **options) as executor:
        milliseconds(executor, (16, 16), 4)  # imports, and compiles
        yield executor


def milliseconds(executor: Executor, hidden: tuple[int, ...], steps: int) -> float:
    """Return what a step takes, from the second segment on: the first one makes the weights."""
    X, y = ours.persisted(executor, images.synthetic(steps * BATCH), PARTITIONS)
    model = MLPClassifier(
        hidden, parallel="model", n_blocks=2, batch_size=BATCH, max_iter=EPOCHS, random_state=0
    )
    with executor, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    later = model.history_[1:]
    taken = EPOCHS * steps - min(8, steps)
    return 1e3 * sum(record.seconds for record in later) / taken


def exchange_only(peer: Peer, units: tuple[int, ...], rows: int, steps: int) -> float:
    """Send and receive what a step does, without arithmetic; return the milliseconds of a step."""
    layout = BlockLayout(units, len(peer.members))
    exchange = BlockExchange(peer, range(len(peer.members)), ("benchmark",))
    block = peer.index
    buffers = [np.zeros((n, rows), np.float32) for _, n in layout.exchanges]
    started = time.perf_counter()
    for step in range(steps):
        for number, ((kind, n), whole) in enumerate(zip(layout.exchanges, buffers, strict=True)):
            tag = (step, f"{kind} {number}")
            cuts = [
                slice(b * n // layout.n_blocks, (b + 1) * n // layout.n_blocks)
                for b in range(layout.n_blocks)
            ]
            mine = {block: whole[cuts[block]]}
            if kind == "gather":
                exchange.gather(tag, mine, cuts, whole)()
            elif kind == "sum_to_owners":
                out = {block: np.empty_like(mine[block])}
                exchange.sum_to_owners(tag, {(0, block): whole}, cuts, out)()
            else:
                exchange.sum_everywhere(tag, {(0, block): whole}, np.empty_like(whole))()
    return 1e3 * (time.perf_counter() - started) / steps


def exchanges(executor: Executor, hidden: tuple[int, ...], steps: int) -> float:
    """Return the milliseconds that a step's exchanges take when there is nothing else."""
    group = PeerGroup(executor, "exchanges")
    try:
        group.admit()
        group.open(group.workers())
        units = (784, *hidden, images.CLASSES)
        answers = group.run(exchange_only, [(units, BATCH, steps)] * len(group.members))
    finally:
        group.close()
    return max(answer.value for answer in answers)


def compare(pairs: int, hidden: tuple[int, ...], steps: int) -> str:
    """Take turns; return the table."""
    found: dict[str, list[float]] = {}

    def note(who: str, value: float) -> None:
        found.setdefault(who, []).append(value)

    remark = ""
    with ExitStack() as stack:
        server: Any = None
        try:
            data = images.synthetic(torch_tensor_parallel.ROWS)
            server = stack.enter_context(torch_tensor_parallel.pytorch(data))
        except PeerUnavailableError as missing:
            remark = str(missing)
        for _ in range(pairs):
            # One cluster at a time: an idle one still takes a few per cent of a core.
            with worker_processes(2) as two:
                for how, shared in WAYS.items():
                    with dask.config.set({"daskml-exec.shared-memory": shared}):
                        note(f"two workers, {how}", milliseconds(two, hidden, steps))
                        note(f"exchanges alone, {how}", exchanges(two, hidden, EXCHANGES))
            with worker_processes(2, config=QUIET) as quiet:
                note("two workers, shared memory, quiet", milliseconds(quiet, hidden, steps))
            with worker_processes(1) as one:
                note("one worker, both blocks", milliseconds(one, hidden, steps))
            if server is not None:
                for who, setting in torch_tensor_parallel.SIDES.items():
                    speed = torch_tensor_parallel.speed(server, setting, repetitions=1)
                    note(who, 1e3 * BATCH / speed.rates[0])
    own = found["two workers, sockets"]
    lines = [("who", "ms a step", "samples/s", "by two workers, sockets")]
    for who, values in found.items():
        ratios = [value / mine for value, mine in zip(values, own, strict=True)]
        rate = "" if who.startswith("exchanges") else f"{1e3 * BATCH / np.median(values):,.0f}"
        lines.append((who, spread(values), rate, spread(ratios)))
    return "\n".join([aligned(lines), remark]).rstrip()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m peers.blocks", description=__doc__)
    parser.add_argument("--scale", choices=["full", "tiny"], default="full")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side; 5")
    given = parser.parse_args(arguments)
    tiny = given.scale == "tiny"
    print(compare(given.pairs, (16, 16) if tiny else HIDDEN, 4 if tiny else STEPS))


if __name__ == "__main__":
    main()
