"""The ninth tutorial at full size: ``python tutorials/translation_with_pytorch.py``.

A Transformer learns the French names of languages, places, scripts and currencies from the English
ones, byte by byte: in two partitions on two Workers of one thread, in two stages there, and by
PyTorch's own loop in one process of one thread. The module, pairs, schedule and learning rate are
the same, and as many pairs are in a step of both partitions together as in one of the loop. Printed
are chrF of names that were not trained on, beside that of the English names as they are, the
seconds that training takes, and some names.

The names are those of Debian's `iso-codes`; `--catalogues` names another folder of gettext's.
"""

import argparse
import itertools
from functools import partial
from pathlib import Path

import torch

from daskml_exec import Executor
from words.chrf import chrf
from words.pairs import CATALOGUES, as_samples, french_names, split
from words.sides import WORKERS, Training, in_one_process, on_workers
from words.translator import translated, translation_loss, translator

BATCH = 32
WAYS = {
    "data": {"sync_every": 4, "outer": "average", "rows_least": BATCH // WORKERS},
    "pipeline": {"parallel": "pipeline", "stages": 2, "micro_batches": 2},
}
"""How Workers share the work, each as arguments of TorchEstimator."""


def tell(who: str, found: list[str], test: dict[str, str], seconds: float) -> None:
    print(f"{who}: chrF {chrf(found, list(test.values())):.2f}, {seconds:.0f} s", flush=True)
    for (source, target), text in itertools.islice(zip(test.items(), found, strict=True), 5):
        print(f"    {source}: {text} ({target})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--catalogues", type=Path, default=CATALOGUES)
    add("--pairs", type=int, help="train on so few: does it run")
    add("--test-pairs", type=int, default=500)
    add("--epochs", type=int, default=14)
    add("--rate", type=float, default=3e-3)
    add("--layers", type=int, default=2)
    add("--width", type=int, default=96)
    add("--ways", nargs="+", choices=[*WAYS, "loop"], default=[*WAYS, "loop"])
    add("--seed", type=int, default=0)
    given = parser.parse_args()

    train, test = split(french_names(given.catalogues), given.test_pairs)
    train = dict(itertools.islice(train.items(), given.pairs))
    samples, sources = as_samples(train), {"source": as_samples(test)["source"]}
    as_they_are = chrf(list(test), list(test.values()))
    print(f"{len(train):,} pairs; {len(test):,} others as they are: chrF {as_they_are:.2f}")
    module = partial(translator, given.layers, given.width)
    training = Training(module, translation_loss, BATCH, given.rate, given.epochs, given.seed)
    for way in given.ways:
        print(f"training: {way}", flush=True)
        if way == "loop":
            trained, seconds = in_one_process(training, samples)
            with torch.inference_mode():
                found = translated(trained, {"source": torch.from_numpy(sources["source"])})
            tell("one process", found, test, seconds)
            continue
        with Executor(n_workers=WORKERS, threads_per_worker=1):
            model, seconds = on_workers(training, samples, **WAYS[way])
            found = model.map_samples(translated, sources)
        tell(f"{WORKERS} Workers, {way}", found, test, seconds)


if __name__ == "__main__":
    main()
