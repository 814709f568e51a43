"""TfidfTransformer: scikit-learn's weights of counts that are anywhere."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import text as scikit
from sklearn.utils.estimator_checks import parametrize_with_checks

from daskml_exec.feature_extraction.text import TfidfTransformer
from tests.estimator_kit import collection
from tests.feature_extraction.toolbox import WEIGHTS, check_same, matrix
from tests.tiers import each_value

COUNTS = sp.random_array(
    (40, 9),
    density=0.3,
    rng=np.random.default_rng(0),
    data_sampler=lambda size: np.arange(size) % 5,
).tocsr()  # some of the stored ones are zeros
COUNTS = sp.csr_matrix(COUNTS)
PARAMETERS = [
    {k: v for k, v in each.items() if k not in ("vocabulary", "dtype")}
    for each in ({}, *WEIGHTS.values())
]


@parametrize_with_checks([TfidfTransformer()])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:divide by zero")
@each_value(parameters=PARAMETERS, dtype=[np.float64, np.float32, np.int64])
def test_weights(executor, parameters, dtype):
    X = COUNTS.astype(dtype)
    if parameters.get("sublinear_tf"):
        X.eliminate_zeros()  # they have no logarithm
    pieces = [executor.submit(X.__getitem__, slice(a, a + 10)) for a in (0, 10, 20, 30)]
    for kind in (X, collection(X), pieces):
        check_weights(parameters, X, kind)
    X.eliminate_zeros()
    check_weights(parameters, X, da.from_array(X.toarray(), chunks=(17, 5)))


def check_weights(parameters, X, kind):
    theirs = scikit.TfidfTransformer(**parameters).fit(X)
    ours = TfidfTransformer(**parameters).fit(kind)
    if theirs.use_idf:
        np.testing.assert_allclose(ours.idf_, theirs.idf_, rtol=1e-15)
        assert ours.idf_.dtype == theirs.idf_.dtype
    assert ours.n_features_in_ == 9
    check_same(matrix(ours.transform(kind)), theirs.transform(X))
    check_same(ours.to_sklearn().transform(X), theirs.transform(X))


def test_chunks_and_copies(executor):
    X = COUNTS.astype(float)
    lazy = collection(X)
    ours = TfidfTransformer().fit(lazy)
    found = ours.transform(lazy)
    assert found.chunks == (lazy.chunks[0], (9,))
    assert 0 in TfidfTransformer().fit(collection(X[:2])).transform(collection(X[:2])).chunks[0]
    before = X.copy()
    ours.transform(X)
    ours.transform(lazy, copy=False).compute()
    assert abs(X - before).nnz == 0
    check_same(ours.transform(X.copy(), copy=False), ours.transform(X))
    in_place = X.copy()
    ours.transform(in_place, copy=False)
    assert (in_place != X).nnz > 0


def test_frames(executor):
    frame = pd.DataFrame(COUNTS.toarray(), columns=[f"w{n}" for n in range(9)])
    ours = TfidfTransformer().fit(dd.from_pandas(frame, npartitions=3))
    assert ours.feature_names_in_.tolist() == list(frame)
    expected = scikit.TfidfTransformer().fit_transform(frame.to_numpy())
    check_same(matrix(ours.transform(dd.from_pandas(frame, npartitions=2))), expected)
    with pytest.raises(ValueError, match="feature names should match"):
        ours.transform(dd.from_pandas(frame[list(frame)[::-1]], npartitions=2))


def test_what_is_refused(executor):
    X = collection(COUNTS.astype(float))
    with pytest.raises(NotFittedError):
        TfidfTransformer().transform(X)
    ours = TfidfTransformer().fit(X)
    with pytest.raises(ValueError, match="X has 3 features, but TfidfTransformer is expecting 9"):
        ours.transform(da.zeros((4, 3), chunks=2))
    with pytest.raises(ValueError, match="X has 0 rows"):
        TfidfTransformer().fit(da.zeros((0, 3)))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        TfidfTransformer().fit(da.zeros(3))
    with pytest.raises(ValueError, match="norm"):
        TfidfTransformer(norm="l3").fit(X)
    bad = COUNTS.toarray()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN in partition 0, column 2"):
        TfidfTransformer().fit(da.from_array(bad, chunks=(10, 9)))
