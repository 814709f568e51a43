"""How many samples a second PyTorch trains of a wide network, cut over processes and whole.

The network is 784-4096-4096-10 with ReLU, in float32, trained by the fused Adam on 256 rows a step.
``python -m peers.torch_tensor_parallel`` prints a table of the sides; `PEERS_TORCH_PYTHON` names
the interpreter that has PyTorch.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from peers import images
from peers.other_interpreter import TORCH, OtherPeer, PeerUnavailableError, Rows, Server, running
from peers.table import aligned, spread

PEER = OtherPeer(
    TORCH.name,
    "peers.torch_tensor_parallel_server",
    ("numpy", "torch.distributed.tensor.parallel"),
    TORCH.variable,
    "pip install torch numpy",
)
Setting = dict[str, int]
SIDES: dict[str, Setting] = {
    "PyTorch": {"threads": 1},
    "PyTorch, 2 threads": {"threads": 2},
    "PyTorch tensor parallel, gloo": {"processes": 2},
}
BATCH = 256
ROWS = 6_000
WARM_UP = 3
"""Steps in which PyTorch allocates, and works out how its tensors are cut."""

_NETWORK: dict[str, Any] = {
    "hidden": 4096,
    "classes": images.CLASSES,
    "rate": 1e-3,
    "seed": 0,
}


@dataclass(frozen=True)
class Speed:
    """Samples per second, by repetition; and the loss at the last step.

    Sides start from the same weights and take the same rows, so that their first losses agree but
    for rounding. Training enlarges the difference: after some 50 steps it is in the second digit.
    """

    rates: tuple[float, ...]
    loss: float


@contextmanager
def pytorch(data: Rows) -> Iterator[Server]:
    """Start a process that holds the rows; what it starts ends with its answer.

    Raises `PeerUnavailableError` where PyTorch is missing.
    """
    with running(PEER, data) as server:
        yield server


def speed(
    server: Server, setting: Setting, *, repetitions: int, steps: int = 20, batch: int = BATCH
) -> Speed:
    """Train anew, and time each repetition of so many steps.

    Raises `PeerUnavailableError` with PyTorch's last words where it fails.
    """
    timing = {"repetitions": repetitions, "steps": steps, "warm_up": WARM_UP}
    answer = server.ask({**_NETWORK, "batch": batch, **timing, **setting})
    rates = tuple(steps * batch / seconds for seconds in answer["seconds"])
    return Speed(rates, answer["loss"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m peers.torch_tensor_parallel", description=__doc__
    )
    parser.add_argument("--steps", type=int, default=20, help="in a repetition; 20")
    parser.add_argument("--repetitions", type=int, default=5, help="of each side; 5")
    given = parser.parse_args(arguments)
    try:
        with pytorch(images.synthetic(ROWS)) as server:
            speeds = {
                who: speed(server, setting, repetitions=given.repetitions, steps=given.steps)
                for who, setting in SIDES.items()
            }
    except PeerUnavailableError as missing:
        sys.exit(str(missing))
    print(render(speeds))


def render(speeds: dict[str, Speed]) -> str:
    header = ("who", "ms a step", "samples/s", "last loss")
    return aligned([header, *(_cells(who, found) for who, found in speeds.items())])


def _cells(who: str, found: Speed) -> tuple[str, str, str, str]:
    milliseconds = spread([1000 * BATCH / rate for rate in found.rates])
    return who, milliseconds, f"{statistics.median(found.rates):,.0f}", f"{found.loss:.4f}"


if __name__ == "__main__":
    main()
