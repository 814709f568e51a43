"""How much sooner documents are terms, and are classified: ``python -m text_documents``.

The documents are the descriptions of Debian's packages, as apt knows them (without apt's lists, the
lines of Python's own modules); their classes are the ten commonest sections. Ours run on two worker
processes of one thread, on a Dask bag that is persisted there; scikit-learn's in this process, on
one thread. Both take turns in one run; each figure is the median of how many times as fast ours is
(smallest - largest), and the seconds of both are medians, too. A result counts once all of its
chunks are computed. "in memory" is ours on a list, without a cluster. The last column compares the
seconds of processors, those of the Workers and the driver together, which other work on the machine
touches little: with two Workers up to twice as much could be had by the clock.
"""

import argparse
import gc
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dask.bag as db
import numpy as np
import scipy.sparse as sp
from distributed import wait
from sklearn.feature_extraction import text as scikit
from sklearn.linear_model import LogisticRegression as ScikitLogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from daskml_exec import Executor
from daskml_exec.feature_extraction import text
from daskml_exec.linear_model import LogisticRegression
from peers.table import aligned, spread
from torch_measure import processor_of

Run = Callable[[], Any]


def packages() -> tuple[list[str], list[str]]:
    """Return descriptions and sections, one for each package, in order of the packages' names."""
    try:
        told = subprocess.run(
            ["apt-cache", "dumpavail"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return _sources()
    found = {}
    for paragraph in told.stdout.split("\n\n"):
        fields = dict(
            re.findall(r"^(Package|Section|Description): (.*(?:\n .*)*)", paragraph, re.MULTILINE)
        )
        if len(fields) == 3:
            found[fields["Package"]] = fields["Description"], fields["Section"].split("/")[-1]
    if len(found) < 10_000:
        return _sources()
    texts, sections = zip(*(found[name] for name in sorted(found)), strict=True)
    return list(texts), list(sections)


def _sources() -> tuple[list[str], list[str]]:
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    lines = [(line, path.stem) for path in paths for line in path.read_text("utf-8").splitlines()]
    texts, sections = zip(*((line, stem) for line, stem in lines if line.strip()), strict=True)
    return list(texts), list(sections)


def timed(run: Run, processor: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds that a call takes by the clock, and of processors."""
    gc.collect()
    began, started = processor(), time.perf_counter()
    run()
    return time.perf_counter() - started, processor() - began


def compared(
    name: str, ours: Run, theirs: Run, pairs: int, executor: Executor | None = None
) -> tuple[str, ...]:
    """Let both take turns, after one of each that is not counted; return a line of the table."""
    pids = [] if executor is None else [worker.pid for worker in executor.workers()]
    processor = processor_of([os.getpid(), *pids])
    found = []
    for _ in range(pairs + 1):
        found.append((*timed(ours, processor), *timed(theirs, processor)))
        print(name, *(f"{each:.3f}" for each in found[-1]), file=sys.stderr, flush=True)
    mine, my_cpu, other, its_cpu = zip(*found[1:], strict=True)
    return (
        name,
        f"{statistics.median(mine):.3f}",
        f"{statistics.median(other):.3f}",
        spread([theirs / ours for ours, theirs in zip(mine, other, strict=True)]),
        spread([_ticks(its) / _ticks(my) for my, its in zip(my_cpu, its_cpu, strict=True)]),
    )


def _ticks(seconds: float) -> float:
    """Return seconds of processors, which are counted in hundredths, as one of these or more."""
    return max(seconds, 0.01)


def placed(executor: Executor, documents: Sequence[Any], n: int) -> Any:
    """Return a bag of so many partitions that the Workers hold."""
    made = executor.client.persist(db.from_sequence(documents, npartitions=n))
    wait(made)
    return made


def weighed(executor: Executor, documents: Any) -> Any:
    """Learn and weigh; return the chunks that are on Workers then."""
    made = executor.client.persist(text.TfidfVectorizer().fit_transform(documents))
    wait(made)
    return made


def require_same(found: Any, expected: Any) -> None:
    blocks = found.to_delayed().ravel() if hasattr(found, "to_delayed") else [found]
    found = sp.vstack([getattr(each, "compute", lambda each=each: each)() for each in blocks])
    if found.shape != expected.shape or abs(found - expected).max() > 1e-12:
        raise AssertionError("ours is another matrix than scikit-learn's")


def vectorizers(executor: Executor, documents: list[str], pairs: int) -> list[tuple[str, ...]]:
    long = ["\n".join(documents[start::30]) for start in range(30)]
    cases = {
        f"tf-idf of {len(documents):,}, 4 partitions": (documents, 4),
        "64 partitions": (documents, 64),
        "30 long documents, 4 partitions": (long, 4),
        "200 documents, 2 partitions": (documents[:200], 2),
    }
    lines = []
    for name, (some, n) in cases.items():
        X = placed(executor, some, n)

        def ours(X: Any = X) -> Any:
            return weighed(executor, X)

        def theirs(some: list[str] = some) -> Any:
            return scikit.TfidfVectorizer().fit_transform(some)

        require_same(ours(), theirs())
        lines.append(compared(name, ours, theirs, pairs, executor))
    return lines


def in_memory(documents: list[str], pairs: int) -> list[tuple[str, ...]]:
    lines = []
    for name, some in {"in memory": documents, "in memory, 200 documents": documents[:200]}.items():

        def ours(some: list[str] = some) -> Any:
            return text.TfidfVectorizer().fit_transform(some)

        def theirs(some: list[str] = some) -> Any:
            return scikit.TfidfVectorizer().fit_transform(some)

        require_same(ours(), theirs())
        lines.append(compared(name, ours, theirs, pairs))
    return lines


def sections(
    executor: Executor, documents: list[str], classes: list[str], pairs: int
) -> list[tuple[str, ...]]:
    """Predict the section: from documents on the Workers to labels here."""
    common = {name for name, _ in Counter(classes).most_common(10)}
    kept = [place for place, name in enumerate(classes) if name in common]
    order = np.random.default_rng(0).permutation(kept).tolist()
    cut = len(order) * 4 // 5
    X, y = [documents[place] for place in order], np.array([classes[place] for place in order])
    train, test = placed(executor, X[:cut], 4), placed(executor, X[cut:], 4)
    scores: dict[str, float] = {}

    def ours() -> Any:
        model = make_pipeline(text.TfidfVectorizer(), LogisticRegression())
        found = model.fit(train, y[:cut]).predict(test).compute()
        scores["ours"] = float(np.mean(found == y[cut:]))

    def theirs() -> Any:
        model = make_pipeline(scikit.TfidfVectorizer(), ScikitLogisticRegression())
        found = model.fit(X[:cut], y[:cut]).predict(X[cut:])
        scores["theirs"] = float(np.mean(found == y[cut:]))

    line = compared(f"sections of {len(order):,}, end to end", ours, theirs, pairs, executor)
    accuracy = f"accuracy {scores['ours']:.4f}", f"scikit-learn's {scores['theirs']:.4f}"
    return [line, (*accuracy, "", "", "")]


_HEADER = ("case", "ours, s", "scikit-learn, s", "times as fast", "by processors' seconds")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m text_documents",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="2,000 documents, one pair")
    parser.add_argument("--pairs", type=int, help="of runs; 5, or 1 with --quick")
    parser.add_argument("--only", choices=["vectorizers", "memory", "sections"])
    given = parser.parse_args(arguments)
    documents, classes = packages()
    if given.quick:
        step = max(1, len(documents) // 2_000)
        documents, classes = documents[::step], classes[::step]
    pairs = given.pairs or (1 if given.quick else 5)
    kept, only = [_HEADER], given.only
    letters = sum(map(len, documents))
    print(f"{len(documents):,} documents, {letters:,} letters", file=sys.stderr, flush=True)
    with threadpool_limits(1):
        if only in (None, "memory"):
            kept += in_memory(documents, pairs)
        with Executor(n_workers=2, threads_per_worker=1) as executor:
            executor.client.wait_for_workers(2)
            if only in (None, "vectorizers"):
                kept += vectorizers(executor, documents, pairs)
            if only in (None, "sections"):
                kept += sections(executor, documents, classes, pairs)
    print(aligned(kept))


if __name__ == "__main__":
    main()
