"""y of shape (n, 1) gives the shapes that scikit-learn gives, from wherever it comes."""

import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
from sklearn.exceptions import DataConversionWarning

import daskml_exec.linear_model
from tests.tiers import each_value

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
TARGETS = {
    "Ridge": X @ [1.0, 2.0] + 3.0,
    "LinearRegression": X @ [1.0, 2.0] + 3.0,
    "PoissonRegressor": RNG.poisson(3.0, size=40),
    "LogisticRegression": (X[:, 0] > 0).astype(int),
}
CASES = [(name, {}) for name in TARGETS] + [
    (name, {"fit_intercept": False}) for name in ("Ridge", "LinearRegression")
]
WAYS = {
    "memory": lambda a, executor: a,
    "dask": lambda a, executor: da.from_array(a, chunks=(20, *a.shape[1:])),
    "frame": lambda a, executor: dd.from_pandas(pd.DataFrame(a), npartitions=2),
    "futures": lambda a, executor: executor.client.scatter([a[:20], a[20:]], hash=False),
}


@each_value(case=CASES, way=WAYS)
def test_shapes_are_those_of_scikit_learn(executor, case, way):
    name, arguments = case
    y = TARGETS[name][:, None]
    expected = getattr(sklearn.linear_model, name)(**arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataConversionWarning)
        expected.fit(X, y)
    model = getattr(daskml_exec.linear_model, name)(**arguments)
    with pytest.warns(DataConversionWarning) as told:
        model.fit(WAYS[way](X, executor), WAYS[way](y, executor))
    assert len(told) == 1
    for attribute in ("coef_", "intercept_"):
        assert np.shape(getattr(model, attribute)) == np.shape(getattr(expected, attribute))
    assert model.predict(X).shape == expected.predict(X).shape
    assert model.to_sklearn().predict(X).shape == expected.predict(X).shape
    assert model.predict(WAYS["dask"](X, executor)).compute().shape == expected.predict(X).shape
    one = model.score(X, y[:, 0])
    assert one == pytest.approx(model.score(WAYS["dask"](X, executor), y[:, 0]), abs=1e-12)
