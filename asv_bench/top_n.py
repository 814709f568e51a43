"""How soon every user has the best items that he has not seen: ``python -m top_n``.

The kernel of `recommend` beside that of `implicit` (``pip install implicit``), on the same factors,
which `implicit` trains for three iterations; both leave out what each user has seen. They take
turns in one run, and a figure is the median (smallest - largest): by processors' seconds in one
thread, which other work on the machine touches little, and by the clock in two. Ours is asked for
users one by one, too, and without Numba; `implicit` is asked for all of them at once.
"""

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from daskml_exec.kernels.factors import top_n as kernel
from interactions import interactions
from peers.table import aligned, spread

Run = Callable[[], Any]
_HEADER = ("case", "ours, µs a user", "implicit, µs a user", "ours / implicit")


def trained(seen: Any, n_factors: int, threads: int) -> Any:
    """Return `implicit`'s model of what was seen."""
    model = AlternatingLeastSquares(
        factors=n_factors, iterations=3, random_state=0, num_threads=threads
    )
    model.fit(seen, show_progress=False)
    return model


def ours(model: Any, seen: Any, n: int, threads: int = 1) -> Any:
    """Return the best items of all rows of what was seen."""
    ends = np.linspace(0, seen.shape[0], threads + 1).astype(int)

    def part(begin: int, end: int) -> Any:
        return kernel.top_n(
            model.user_factors[begin:end],
            model.item_factors,
            n,
            seen_indptr=seen.indptr[begin : end + 1],
            seen_indices=seen.indices,
        ).items

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(part, ends[:-1], ends[1:])))


def theirs(model: Any, seen: Any, n: int, threads: int = 1) -> Any:
    model.num_threads = threads
    return model.recommend(np.arange(seen.shape[0]), seen, N=n)[0]


def compared(
    name: str, mine: Run, other: Run, users: int, pairs: int, clock: Callable[[], float]
) -> tuple[str, ...]:
    """Let both take turns, after one of each that is not counted; return a line of the table."""
    agreed = float(np.mean((mine() == other()).all(axis=1)))
    if agreed < 0.999:  # the others have two scores that differ by a rounding
        raise AssertionError(f"{name}: only {agreed:.2%} of users have the same items")
    costs = []
    for _ in range(pairs):
        began = clock()
        mine()
        between = clock()
        other()
        costs.append((between - began, clock() - between))
        print(name, *(f"{cost:.3f}" for cost in costs[-1]), file=sys.stderr, flush=True)
    return (
        name,
        *(spread([cost / users * 1e6 for cost in side]) for side in zip(*costs, strict=True)),
        spread([cost / its for cost, its in costs]),
    )


def lines(model: Any, seen: Any, n: int, some: int, pairs: int) -> list[tuple[str, ...]]:
    first, everyone = seen[:some], seen.shape[0]

    def alone() -> Any:
        return np.concatenate([ours_of(model, seen, n, user) for user in range(100)])

    made = [
        compared(
            f"{some:,} users, one thread, processors' seconds",
            lambda: ours(model, first, n),
            lambda: theirs(model, first, n),
            some,
            pairs,
            time.process_time,
        ),
        compared(
            f"all {everyone:,}, two threads, the clock",
            lambda: ours(model, seen, n, 2),
            lambda: theirs(model, seen, n, 2),
            everyone,
            pairs,
            time.perf_counter,
        ),
        compared(
            "100 users one by one, processors' seconds",
            alone,
            lambda: theirs(model, seen[:100], n),
            100,
            pairs,
            time.process_time,
        ),
    ]
    with patch.object(kernel, "compiled_keep", lambda: None):
        made.append(
            compared(
                f"{some:,} users, one thread, without Numba",
                lambda: ours(model, first, n),
                lambda: theirs(model, first, n),
                some,
                pairs,
                time.process_time,
            )
        )
    return made


def ours_of(model: Any, seen: Any, n: int, user: int) -> Any:
    """Return the best items of one user."""
    return kernel.top_n(
        model.user_factors[user : user + 1],
        model.item_factors,
        n,
        seen_indptr=seen.indptr[user : user + 2],
        seen_indices=seen.indices,
    ).items


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m top_n",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="3,000 users, 2,000 items, one pair")
    parser.add_argument("--pairs", type=int, help="of runs; 5, or 1 with --quick")
    parser.add_argument("--n", type=int, default=10, help="items for each user")
    given = parser.parse_args(arguments)
    if given.quick:
        entries, n_factors, some = interactions(3_000, 2_000, 60_000), 16, 1_000
    else:
        entries, n_factors, some = interactions(), 64, 10_000
    parts = entries.data, entries.indices, entries.indptr.astype(np.int32)
    seen = sp.csr_matrix(parts, shape=entries.shape)  # `implicit` wants one dtype in both indices
    pairs = given.pairs or (1 if given.quick else 5)
    with threadpool_limits(1):
        model = trained(seen, n_factors, 2)
        print(aligned([_HEADER, *lines(model, seen, given.n, some, pairs)]))


if __name__ == "__main__":
    main()
