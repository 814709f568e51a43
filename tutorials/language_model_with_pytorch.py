"""The eighth tutorial at full size: ``python tutorials/language_model_with_pytorch.py``.

A GPT of 4 layers of 128 learns from the names, sections and short descriptions of Debian's
packages, byte by byte: in two partitions on two Workers of one thread, in two stages there, in two
replicas of two stages, and by PyTorch's own loop in one process of one thread. The module, tokens,
schedule and learning rate are the same, and as many windows of text are in a step of both
partitions or replicas together as in one of the loop. Printed are the nats of each byte of other
packages, beside those of a model that counts which bytes follow which two and which five, the
seconds that training takes, and a text by each.

The packages are those that apt knows: ``apt-get update`` fetches their lists. Without them, the
text is that of Python's own modules.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np
import torch

from daskml_exec import Executor
from words.counts import counted, nats
from words.gpt import continued, gpt, next_id_loss
from words.packages import VOCABULARY, as_ids, dealt, packages_or_sources
from words.sides import WORKERS, Training, in_one_process, mean_loss, on_workers

WINDOW = 129
"""Bytes of a window: 128 to read, each of which has one that follows."""
BATCH = 8
WAYS: dict[str, dict[str, Any]] = {
    "data": {"sync_every": 4, "outer": "average"},
    "pipeline": {"parallel": "pipeline", "stages": 2, "micro_batches": 2},
    "hybrid": {
        "parallel": "hybrid",
        "stages": 2,
        "n_replicas": 2,
        "micro_batches": 2,
        "sync_every": 4,
    },
}
"""How Workers share the work, each as arguments of TorchEstimator."""
BEGINNING = "python3-"


def windows(ids: np.ndarray, n_tokens: int | None = None) -> np.ndarray:
    """Return windows that begin where the last byte of the one before stood."""
    every = np.lib.stride_tricks.sliding_window_view(ids, WINDOW)[:: WINDOW - 1]
    kept = None if n_tokens is None else max(n_tokens // (WINDOW - 1), 1)
    return np.ascontiguousarray(every[:kept])


def tell(who: str, module: Any, validation: np.ndarray, seconds: float, text: str) -> None:
    found = mean_loss(next_id_loss, module, validation)
    print(f"{who}: {found:.4f} nats, {seconds:.0f} s\n{text}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--tokens", type=int, default=2_500_000, help="bytes of an epoch, at most")
    add("--epochs", type=int, default=1)
    add("--rate", type=float, default=3e-3)
    add("--layers", type=int, default=4)
    add("--width", type=int, default=128)
    add("--ways", nargs="+", choices=[*WAYS, "loop"], default=[*WAYS, "loop"])
    add("--seed", type=int, default=0)
    given = parser.parse_args()

    texts = dealt(packages_or_sources(), share=0.04)
    train, validation = windows(texts[0], given.tokens), windows(texts[1], given.tokens // 10)
    n_read, n_told = len(train) * (WINDOW - 1) + 1, len(validation) * (WINDOW - 1) + 1
    print(f"{n_read:,} bytes to train on, {n_told:,} to validate with", flush=True)
    for order in (3, 6):
        counts = counted(texts[0][:n_read], order, VOCABULARY)
        print(f"counts of {order} bytes: {nats(counts, texts[1][:n_told]):.4f} nats", flush=True)

    module = partial(gpt, given.layers, given.width)
    training = Training(module, next_id_loss, BATCH, given.rate, given.epochs, given.seed)
    beginning = as_ids(f"\n{BEGINNING}")[None].copy()  # to be written to, as tensors may be
    for way in given.ways:
        print(f"training: {way}", flush=True)
        if way == "loop":
            trained, seconds = in_one_process(training, train)
            with torch.inference_mode():
                text = continued(trained, torch.from_numpy(beginning))[0]
            tell("one process", trained, validation, seconds, text)
            continue
        with Executor(n_workers=WORKERS, threads_per_worker=1):
            model, seconds = on_workers(training, train, **WAYS[way])
            text = model.map_samples(continued, beginning)[0]
        tell(f"{WORKERS} Workers, {way}", model.module_, validation, seconds, text)


if __name__ == "__main__":
    main()
