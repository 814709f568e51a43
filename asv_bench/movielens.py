"""Accuracy on MovieLens-100k beside `implicit` and Spark: ``python -m movielens --ratings PATH``.

The file has a line of a header, and lines of user, item, rating and time with tabs between them:
`ml-100k.inter`, as the wheel of `recbole` from PyPI has it; `u.data` with a header does as well.

- "stars": all ratings, explicit; the root mean squared error of held-out pairs whose user and
  movie were trained on. `implicit` has no such model.
- "likes": ratings from four stars, as ones; NDCG@10 of lists without the likes trained on.

A fifth of each user's rows is the test, and of the rest a fifth the validation. All sides try the
same `--settings` (12), drawn with one seed: factors, penalty and, of likes, confidence. The best in
validation is fitted on both parts, from `--seeds` (3) seeds, and tested: median (lowest - highest).
Ours takes the penalty of either peer: Spark's has ``reg_exponent=1``, that of `implicit` is 0, and
gets the same penalties times the mean count of users and of movies. All take 15 iterations, ours of
exact half-steps in memory, the others as by default.

``--spark PYTHON`` adds Spark, in an interpreter that has pyspark and Java. Seconds are of all fits
and scores of a side, in this process; of Spark with its start, twice.
"""

import argparse
import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares as ImplicitALS
from threadpoolctl import threadpool_limits

from daskml_exec.recommendation import (
    AlternatingLeastSquares,
    ranking_scores,
    split_interactions,
)
from peers.table import aligned

ITERATIONS, K, LIKED = 15, 10, 4
Setting = Mapping[str, Any]


@dataclass(frozen=True)
class Factors:
    """A model of whichever side, as `ranking_scores` asks for lists.

    Rows of both matrices follow the sorted ids.
    """

    users_: Any
    items_: Any
    of_users: Any
    of_items: Any
    user: str = "user"
    item: str = "item"
    rating: str = "rating"

    def predict(self, rows: Any) -> Any:
        """Return the products of pairs; NaN where the user or the item is not known."""
        users, items = (
            pd.Index(ids).get_indexer(rows[name])
            for ids, name in ((self.users_, "user"), (self.items_, "item"))
        )
        found = np.einsum("ij,ij->i", self.of_users[users], self.of_items[items])
        return np.where((users >= 0) & (items >= 0), found, np.nan)

    def recommend(self, users: Any, n: int, *, interactions: Any, exclude_seen: bool) -> Any:
        rows = pd.Index(self.users_).get_indexer(users)
        scores = self.of_users[rows] @ self.of_items.T
        seen_users, seen_items = (
            pd.Index(ids).get_indexer(seen)
            for ids, seen in ((users, interactions[0]), (self.items_, interactions[1]))
        )
        there = (seen_users >= 0) & (seen_items >= 0)
        scores[seen_users[there], seen_items[there]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :n]
        return pd.DataFrame(
            {"user": np.repeat(users, n), "item": np.asarray(self.items_)[best].ravel()}
        )


@dataclass(frozen=True)
class Task:
    """Something to be predicted, and how well it is."""

    name: str
    feedback: str
    rows: Any
    better: int
    """1 where more is better, and else -1."""

    def score(self, model: Factors, train: Any, test: Any) -> float:
        if self.feedback == "implicit":
            return float(ranking_scores(model, train, test, K).ndcg)
        errors = model.predict(test) - test["rating"]
        return float(np.sqrt(np.nanmean(errors**2)))


Fit = Callable[[Task, Any, Sequence[Setting]], list[Factors]]


def ours(exponent: float) -> Fit:
    def fit(task: Task, train: Any, settings: Sequence[Setting]) -> list[Factors]:
        found = []
        for setting in settings:
            model = AlternatingLeastSquares(
                setting["factors"],
                feedback=task.feedback,
                alpha=setting["alpha"],
                reg=setting["reg"] * mean_count(train) ** (1 - exponent),
                reg_exponent=exponent,
                max_iter=ITERATIONS,
                tol=0.0,
                random_state=setting["seed"],
            ).fit(train)
            found.append(
                Factors(model.users_, model.items_, model.user_factors_, model.item_factors_)
            )
        return found

    return fit


def mean_count(train: Any) -> float:
    """Return the mean of rows of a user and rows of a movie."""
    return len(train) * (1 / train["user"].nunique() + 1 / train["item"].nunique()) / 2


def implicits(task: Task, train: Any, settings: Sequence[Setting]) -> list[Factors]:
    users, of_rows = np.unique(train["user"], return_inverse=True)
    items, of_columns = np.unique(train["item"], return_inverse=True)
    found = []
    for setting in settings:
        confidence = np.full(len(train), 1 + setting["alpha"], np.float32)
        model = ImplicitALS(
            factors=setting["factors"],
            regularization=setting["reg"] * mean_count(train),
            iterations=ITERATIONS,
            num_threads=2,
            random_state=setting["seed"],
        )
        with threadpool_limits(1, "blas"):
            model.fit(sp.csr_matrix((confidence, (of_rows, of_columns))), show_progress=False)
        found.append(Factors(users, items, model.user_factors, model.item_factors))
    return found


def spark(python: str) -> Fit:
    def fit(task: Task, train: Any, settings: Sequence[Setting]) -> list[Factors]:
        arguments = [
            {
                "rank": setting["factors"],
                "regParam": setting["reg"],
                "alpha": setting["alpha"],
                "implicitPrefs": task.feedback == "implicit",
                "maxIter": ITERATIONS,
                "seed": setting["seed"],
            }
            for setting in settings
        ]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train[["user", "item", "rating"]].to_csv(
                folder / "ratings.csv", header=False, index=False
            )
            (folder / "settings.json").write_text(json.dumps(arguments))
            script = Path(__file__).parent / "peers" / "spark_movielens.py"
            done = subprocess.run(
                [python, str(script), name], check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"Spark ended with {done.returncode}:\n{done.stderr[-2000:]}")
            files = [np.load(folder / f"{number}.npz") for number in range(len(settings))]
            return [Factors(f["users"], f["items"], f["of_users"], f["of_items"]) for f in files]

    return fit


def drawn(task: Task, n: int, seed: int) -> list[Setting]:
    """Return settings, penalties and confidences from logarithmic ranges.

    That of penalties is higher where all that was not seen counts.
    """
    rng = np.random.default_rng(seed)
    lowest, highest = (0.02, 2.0) if task.feedback == "implicit" else (0.02, 0.5)
    return [
        {
            "factors": int(rng.choice([8, 16, 32, 64])),
            "reg": float(np.exp(rng.uniform(np.log(lowest), np.log(highest)))),
            "alpha": float(np.exp(rng.uniform(np.log(0.5), np.log(20)))),
            "seed": 0,
        }
        for _ in range(n)
    ]


def judged(
    task: Task, fit: Fit, settings: Sequence[Setting], seeds: int
) -> tuple[Setting, float, list[float]]:
    """Return the setting that is best in validation, its score there, and those of the test."""
    both, test = split_interactions(task.rows, test_size=0.2, random_state=0)
    train, validation = split_interactions(both, test_size=0.2, random_state=1)
    scores = [task.score(model, train, validation) for model in fit(task, train, settings)]
    best = int(np.argmax(task.better * np.array(scores)))
    again = [{**settings[best], "seed": seed} for seed in range(seeds)]
    return (
        settings[best],
        scores[best],
        [task.score(model, both, test) for model in fit(task, both, again)],
    )


def read(path: str) -> Any:
    return pd.read_csv(
        path, sep="\t", skiprows=1, usecols=range(3), names=["user", "item", "rating"]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", required=True, metavar="PATH")
    parser.add_argument("--settings", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--spark", metavar="PYTHON")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    ratings = read(given.ratings)
    likes = ratings[ratings["rating"] >= LIKED].assign(rating=1.0)
    cells = [("task", "side", "factors", "reg", "alpha", "validation", "test", "seconds")]
    for task in (
        Task("stars, RMSE", "explicit", ratings, -1),
        Task("likes, NDCG@10", "implicit", likes, 1),
    ):
        sides = {"ours, exponent 1": ours(1.0)}
        if task.feedback == "implicit":
            sides |= {"ours, exponent 0": ours(0.0), "implicit": implicits}
        if given.spark:
            sides["Spark"] = spark(given.spark)
        for side, fit in sides.items():
            began = time.perf_counter()
            setting, validation, test = judged(
                task, fit, drawn(task, given.settings, 0), given.seeds
            )
            cells.append(
                (
                    task.name,
                    side,
                    str(setting["factors"]),
                    f"{setting['reg']:.3f}",
                    f"{setting['alpha']:.1f}" if task.feedback == "implicit" else "",
                    f"{validation:.4f}",
                    f"{np.median(test):.4f} ({min(test):.4f} - {max(test):.4f})",
                    f"{time.perf_counter() - began:.0f}",
                )
            )
    print(aligned(cells))


if __name__ == "__main__":
    main()
