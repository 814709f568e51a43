"""Repeated fits of data in memory, where no cluster is open: threads of this process.

``cd asv_bench; python -m benchmarks.in_memory`` prints the ratio of seconds to scikit-learn's
`newton-cholesky` at ``tol=1e-10``, both to the same optimum, fit after fit in turn; also on the
shapes where ours is weakest: very few rows, more columns than rows, several classes.
"""

import statistics

import numpy as np
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression

from benchmarks._measure import ratios, scale, seconds, summary
from daskml_exec.linear_model import LogisticRegression

PAIRS = {"full": 15, "tiny": 2}
SHAPES = {
    "full": ["5000x20", "50000x50", "200x5", "100x500", "5000x20x3"],
    "tiny": ["50x3", "60x3x3"],
}


class InMemory:
    """Fits of rows times columns, and of so many classes."""

    params = SHAPES[scale()]
    param_names = ["shape"]
    timeout = 300

    def setup(self, shape: str) -> None:
        n, d, *classes = map(int, shape.split("x"))
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(n, d))
        margins = self.X @ rng.normal(size=d) + rng.normal(size=n)
        cuts = np.quantile(margins, [1 / 3, 2 / 3]) if classes else [0.0]
        self.y = np.digitize(margins, cuts)
        self.ours = LogisticRegression()
        self.theirs = SklearnLogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000)

    def fit_ours(self) -> None:
        self.ours.fit(self.X, self.y)

    def fit_theirs(self) -> None:
        self.theirs.fit(self.X, self.y)

    def time_fit(self, shape: str) -> None:
        self.fit_ours()

    def track_by_sklearn(self, shape: str) -> float:
        """Seconds of a fit by those of scikit-learn's."""
        return statistics.median(ratios(self.fit_ours, self.fit_theirs, pairs=PAIRS[scale()]))


def main() -> None:
    for shape in SHAPES[scale()]:
        bench = InMemory()
        bench.setup(shape)
        ratio = ratios(bench.fit_ours, bench.fit_theirs, pairs=PAIRS[scale()], warm_up=2)
        ms = [1e3 * seconds(bench.fit_ours) for _ in range(PAIRS[scale()])]
        print(f"{shape:>10}: {summary(ms, ' ms')}, by scikit-learn {summary(ratio)}")


if __name__ == "__main__":
    main()
