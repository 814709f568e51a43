"""AlternatingLeastSquares on Workers: the bits of one process, whatever holds the interactions."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from daskml_exec import Executor
from tests.executor.rounds import until_released
from tests.recommendation.oracle import random_ratings
from tests.recommendation.test_als import als, triples
from tests.tiers import slow


@pytest.fixture(scope="module")
def matrix():
    return random_ratings(np.random.default_rng(3), 700, 300, 0.03)


@pytest.fixture(scope="module")
def frame(matrix):
    frame = triples(matrix).sample(frac=1, random_state=0)
    user = "u" + frame.user.astype(str).str.zfill(4)
    return frame.assign(user=user, item=frame["item"].astype(np.int64) + 2**40)


def bits(model):
    arrays = model.user_factors_, model.item_factors_, model._seen.columns, model._seen.values
    return (*(array.tobytes() for array in arrays), model.objective_, model.users_.tolist())


@pytest.fixture(scope="module")
def in_memory(frame):
    return bits(als(dtype="float32").fit(frame))


@pytest.mark.parametrize(
    ("n_workers", "n_blocks"), [(2, 3), (4, 16), slow(1, None), slow(2, 8), slow(3, None)]
)
def test_any_number_of_workers_and_blocks(frame, in_memory, n_workers, n_blocks):
    with Executor(processes=False, n_workers=n_workers):
        for source in (frame, dd.from_pandas(frame, npartitions=5, sort=False)):
            model = als(dtype="float32", n_blocks=n_blocks).fit(source)
            assert bits(model) == in_memory


@pytest.fixture(scope="module")
def two_workers():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def test_matrices(two_workers, matrix):
    with Executor(processes=False, n_workers=1):
        wanted = bits(als().fit(matrix))
    chunks = da.from_array(matrix.toarray(), chunks=(150, 300)).map_blocks(sp.csr_matrix)
    assert bits(als().fit(matrix)) == wanted
    assert bits(als().fit(chunks)) == wanted
    rows = da.from_array(np.arange(700) >= 0, chunks=150)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        als().fit(chunks[rows])


def test_futures_of_frames(two_workers, frame, in_memory):
    pieces = [frame[at : at + 2000] for at in range(0, len(frame), 2000)]
    futures = two_workers.client.scatter(pieces)
    assert bits(als(dtype="float32").fit(futures)) == in_memory


@pytest.mark.parametrize("settings", [{"solver": "cg"}, {"nonnegative": True}])
def test_other_solvers(two_workers, frame, settings):
    one = bits(als(n_blocks=1, **settings).fit(frame))
    assert bits(als(n_blocks=7, **settings).fit(frame)) == one


def test_duplicates_across_partitions(two_workers):
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 40, 900), rng.integers(0, 30, 900)
    frame = pd.DataFrame({"user": user, "item": item, "rating": rng.random(900)})
    lazy = dd.from_pandas(frame, npartitions=4, sort=False)
    for how in ("sum", "mean", "last"):
        kept = als(duplicates=how).fit(lazy)._seen.values
        grouped = getattr(frame.groupby(["user", "item"]).rating, how)()
        np.testing.assert_allclose(kept, grouped.to_numpy(), rtol=1e-12)
    with pytest.raises(ValueError, match="of user 0 and item"):
        als(feedback="explicit").fit(lazy)


def test_what_is_wrong_is_named_with_its_partition(two_workers, frame):
    frame = frame.reset_index(drop=True)
    frame.loc[3000, "rating"] = np.nan
    lazy = dd.from_pandas(frame, npartitions=3, sort=False)
    with pytest.raises(ValueError, match=r"'rating' of ratings in partition 1 has 1 values"):
        als().fit(lazy)
    with pytest.raises(ValueError, match=r"no \['item'\]"):
        als().fit(lazy.drop(columns="item"))


def test_lists_and_pairs_lazily(two_workers, frame):
    model = als().fit(frame)
    lazy = model.recommend(n=3)
    wanted = model.recommend(model.users_, 3)
    pd.testing.assert_frame_equal(lazy.compute().reset_index(drop=True), wanted)
    pairs = dd.from_pandas(frame, npartitions=4, sort=False)
    found = model.predict(pairs)
    np.testing.assert_array_equal(found.compute(), model.predict(frame))


def test_nothing_stays_on_the_cluster(two_workers, frame):
    als().fit(dd.from_pandas(frame, npartitions=3, sort=False))
    until_released(two_workers.client, "exchanged")
    until_released(two_workers.client, "alternating")


def test_many_iterations_leave_the_scheduler_few_tasks(two_workers, frame):
    most = []

    def count(event):
        most.append(
            two_workers.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        )

    als(n_factors=2, max_iter=30, callbacks=[count]).fit(frame)
    assert len(most) == 60
    assert max(most) < most[0] + 80


def test_matrices_in_coordinates_keep_their_duplicates(two_workers):
    R = sp.coo_array(([1.0, 4, 3], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert als(duplicates="last").fit(R)._seen.values.tolist() == [4, 3]
