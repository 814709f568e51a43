"""Rows that are sorted over the partitions are noticed, and dealt anew on request."""

import dask
import dask.array as da
import numpy as np
import pytest

from daskml_exec import Executor
from daskml_exec.neural_network import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*has not converged:sklearn.exceptions.ConvergenceWarning"
)

N = 400
RNG = np.random.default_rng(8)
X = RNG.standard_normal((N, 3))
NUMBERS = X @ [1.0, -2.0, 0.5] + 0.1 * RNG.standard_normal(N)
TARGETS = {
    "two classes": (MLPClassifier, (NUMBERS > 0.3).astype(int)),
    "ten classes": (MLPClassifier, np.digitize(NUMBERS, np.linspace(-3.0, 3.0, 9))),
    "words": (MLPClassifier, np.where(NUMBERS > 0, "above", "below")),
    "numbers": (MLPRegressor, NUMBERS),
}
ARGUMENTS = {"hidden_layer_sizes": (4,), "max_iter": 2, "sync_every": "epoch", "random_state": 1}
MESSAGE = r"the partition that a row is in says much of its target \(\d+%.*shuffle='partitions'"
on_targets = pytest.mark.parametrize("name", TARGETS)


def ordered(name, *, by_target):
    """Return a network, and its rows sorted by the target or in random order."""
    kind, y = TARGETS[name]
    order = np.argsort(y, kind="stable") if by_target else np.arange(N)
    return kind, X[order], y[order]


def chunks(array):
    return da.from_array(array, chunks=(70, *array.shape[1:]))


def bits(model):
    return b"".join(piece.tobytes() for piece in (*model.coefs_, *model.intercepts_))


@pytest.mark.usefixtures("executor")
class TestWarning:
    @on_targets
    @pytest.mark.parametrize(("sync_every", "weighted"), [("epoch", False), (1, True)])
    def test_sorted_rows_are_told_with_the_remedy(self, name, sync_every, weighted):
        kind, rows, y = ordered(name, by_target=True)
        weight = RNG.exponential(size=N) if weighted else None
        model = kind(**ARGUMENTS | {"sync_every": sync_every})
        with pytest.warns(UserWarning, match=MESSAGE) as caught:
            model.fit(chunks(rows), y, weight)
        (warning,) = (w for w in caught if w.category is UserWarning)
        assert warning.filename == __file__
        assert "sync_every" in str(warning.message)

    @on_targets
    def test_sorted_rows_in_memory(self, name):
        kind, rows, y = ordered(name, by_target=True)
        with (
            dask.config.set({"daskml-exec.partition-bytes": rows.nbytes // 4}),
            pytest.warns(UserWarning, match=MESSAGE),
        ):
            kind(**ARGUMENTS).fit(rows, y)

    @on_targets
    def test_none_where_the_order_is_random(self, name):
        kind, rows, y = ordered(name, by_target=False)
        kind(**ARGUMENTS).fit(chunks(rows), y)  # warnings are errors

    @on_targets
    def test_none_for_rows_that_are_dealt_anew(self, name):
        kind, rows, y = ordered(name, by_target=True)
        model = kind(**ARGUMENTS, shuffle="partitions").fit(chunks(rows), y)
        assert model.history_.n_partitions == 6

    @on_targets
    def test_none_with_one_partition(self, name):
        kind, rows, y = ordered(name, by_target=True)
        kind(**ARGUMENTS).fit(rows, y)
        kind(**ARGUMENTS, shuffle="partitions").fit(rows, y)

    @pytest.mark.parametrize("n_partitions", [2, 30])
    def test_none_for_few_rows_in_many_partitions(self, n_partitions):
        """Chance alone makes small partitions differ."""
        size = -(-N // n_partitions)
        for name in ("two classes", "ten classes", "numbers"):
            kind, rows, y = ordered(name, by_target=False)
            model = kind(**ARGUMENTS | {"max_iter": 1})
            model.fit(da.from_array(rows, chunks=(size, 3)), y)

    @pytest.mark.filterwarnings("ignore:the partition that a row is in:UserWarning")
    def test_dealing_changes_the_fit_and_mends_it(self):
        kind, rows, y = ordered("two classes", by_target=True)
        given = ARGUMENTS | {"max_iter": 10, "learning_rate_init": 0.02}
        as_they_are = kind(**given).fit(chunks(rows), y)
        dealt = kind(**given, shuffle="partitions").fit(chunks(rows), y)
        assert bits(dealt) != bits(as_they_are)
        assert dealt.score(rows, y) > as_they_are.score(rows, y)


@pytest.mark.slow
def test_dealt_rows_give_the_same_bits_on_any_number_of_workers():
    found = {name: set() for name in TARGETS}
    for n_workers in (1, 2):
        with Executor(processes=False, n_workers=n_workers):
            for name in TARGETS:
                kind, rows, y = ordered(name, by_target=True)
                model = kind(**ARGUMENTS, shuffle="partitions")
                for _ in range(2):
                    found[name].add(bits(model.fit(chunks(rows), y)))
    assert {len(each) for each in found.values()} == {1}
