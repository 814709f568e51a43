"""How soon each user has a model on the features of items: ``python -m content_models``.

`ContentRecommender.fit` of all users, from a sparse matrix in memory to the fitted estimator,
beside a loop over some users with scikit-learn's `Ridge` and `LogisticRegression`, as one would
write it: rows of a user's items, `fit`, with the defaults of both. Users have 20 to 60 items of
4,000, and ratings that depend on the features; these are 300 dense columns, or 20,000 of which an
item has some 60, with the frequencies of words, weighted and normed as by TF-IDF. Both take turns
in one run, and a figure is the median (smallest - largest) of processors' microseconds for a user,
with one thread in BLAS. Predictions are first held against scikit-learn's, at a finer tolerance.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from daskml_exec.kernels.user_models import models
from daskml_exec.recommendation import ContentRecommender
from peers.table import aligned, spread

_HEADER = ("case", "ours, µs a user", "scikit-learn, µs a user", "times as fast")
_WORDS, _DENSE, _FEWEST, _MOST = 60, 300, 20, 60


def dense(n_items: int, rng: Any) -> Any:
    return rng.standard_normal((n_items, _DENSE))


def texts(n_items: int, rng: Any, n_words: int = 20_000) -> Any:
    """Return weights of words, whose frequencies fall with their rank."""
    words = np.exp(rng.uniform(0, np.log(n_words), (n_items, 2 * _WORDS))).astype(int)
    rows = np.repeat(np.arange(n_items), words.shape[1])
    counts = sp.csr_array((np.ones(words.size), (rows, words.ravel())), shape=(n_items, n_words))
    found = np.maximum(1, np.bincount(counts.indices, minlength=n_words))
    counts.data *= (np.log(n_items / found) + 1)[counts.indices]
    return normalize(counts)


def ratings(features: Any, n_users: int, rng: Any) -> Any:
    """Return ratings by user and item: tastes are random, and so is a part of the ratings."""
    n_items = features.shape[0]
    counts = rng.integers(_FEWEST, _MOST + 1, n_users)
    items = np.concatenate([np.sort(rng.choice(n_items, n, replace=False)) for n in counts])
    users = np.repeat(np.arange(n_users), counts)
    tastes = features @ rng.standard_normal((features.shape[1], 50))
    values = tastes[items, users % 50]
    values = values / values.std() + rng.standard_normal(len(items))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return sp.csr_array((values, items.astype(np.int32), indptr), shape=(n_users, n_items))


def loop(make: Callable[[], Any], given: Any, features: Any, n_users: int) -> list[Any]:
    """Return the models of the first users, one after another."""
    fitted = []
    for user in range(n_users):
        mine = slice(given.indptr[user], given.indptr[user + 1])
        target = given.data[mine]
        if make is not Ridge:
            target = target > 0
        fitted.append(make().fit(features[given.indices[mine]], target))
    return fitted


def require_same(loss: str, given: Any, features: Any) -> None:
    """Raise unless predictions are those of scikit-learn."""
    some, model = 5, ContentRecommender(loss).fit(given, features)
    rows = features[:50].toarray() if sp.issparse(features) else features[:50]

    def exact() -> Any:
        return LogisticRegression(tol=1e-9, max_iter=10_000)

    dense_rows = features.toarray() if sp.issparse(features) else features
    fitted = loop(Ridge if loss == "squared" else exact, given, dense_rows, some)
    for user, each in enumerate(fitted):
        found = model.predict((np.full(50, user), np.arange(50)))
        expected = each.predict(rows) if loss == "squared" else each.predict_proba(rows)[:, 1]
        if np.abs(found - expected).max() > 1e-6:
            raise AssertionError(f"{loss}: predictions of user {user} are others")


def compared(
    name: str, loss: str, given: Any, features: Any, some: int, pairs: int
) -> tuple[str, ...]:
    """Let both take turns, after one of each that is not counted; return a line of the table."""
    make, n_users, costs = Ridge if loss == "squared" else LogisticRegression, given.shape[0], []
    for _ in range(pairs + 1):
        began = time.process_time()
        ContentRecommender(loss).fit(given, features)
        between = time.process_time()
        loop(make, given, features, some)
        ended = time.process_time()
        costs.append(((between - began) / n_users * 1e6, (ended - between) / some * 1e6))
        print(name, *(f"{cost:.1f}" for cost in costs[-1]), file=sys.stderr, flush=True)
    mine, its = zip(*costs[1:], strict=True)
    ratios = [other / ours for ours, other in zip(mine, its, strict=True)]
    return name, spread(mine), spread(its), spread(ratios)


def lines(n_users: int, n_items: int, some: int, pairs: int) -> list[tuple[str, ...]]:
    made, rng = [], np.random.default_rng(0)
    for kind, make in (("300 dense columns", dense), ("20,000 columns of words", texts)):
        features = make(n_items, rng)
        given = ratings(features, n_users, rng)
        for loss in ("squared", "log"):
            require_same(loss, given, features)
            made.append(compared(f"{loss}, {kind}", loss, given, features, some, pairs))
            with patch.object(models, "_compiled", lambda: None):
                name = f"{loss}, {kind}, without Numba"
                made.append(compared(name, loss, given, features, some, pairs))
    return made


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m content_models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="200 users, 500 items, one pair")
    parser.add_argument("--pairs", type=int, help="of runs; 5, or 1 with --quick")
    given = parser.parse_args(arguments)
    sizes = (200, 500, 10) if given.quick else (5_000, 4_000, 250)
    pairs = given.pairs or (1 if given.quick else 5)
    with threadpool_limits(1):
        print(aligned([_HEADER, *lines(*sizes, pairs)]))


if __name__ == "__main__":
    main()
