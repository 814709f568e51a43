"""A ColumnTransformer asks its Dask dataframe once for each step that its transformers have."""

import itertools

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

from daskml_exec import Executor
from daskml_exec.feature_extraction.text import CountVectorizer
from daskml_exec.preprocessing import (
    ColumnTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SimpleImputer,
    StandardScaler,
    TargetEncoder,
)
from daskml_exec.training._rows import RowsAnswerer
from tests.preprocessing.kit import fingerprint

N = 1400
ROOT = FunctionTransformer(np.sqrt, feature_names_out="one-to-one")


@pytest.fixture(scope="module")
def executor():
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


@pytest.fixture
def asked(monkeypatch):
    """The questions that partitions were asked."""
    queries, answer = [], RowsAnswerer.answer

    def counted(self, query):
        queries.append(query)
        return answer(self, query)

    monkeypatch.setattr(RowsAnswerer, "answer", counted)
    return queries


def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, N),
            "size": np.where(rng.random(N) < 0.1, np.nan, np.sort(rng.normal(size=N))),
            "weight": (rng.normal(size=N) + 1e5).astype(np.float32),
            "word": pd.Series(rng.choice(["a", "b", "c", np.nan], N), dtype=object).replace(
                "nan", np.nan
            ),
            "kind": pd.Categorical(rng.choice(["x", "y"], N)),
            "text": rng.choice(["to be", "or not"], N),
        }
    )


def cut(X, bounds=(0, 0, 400, 401, 401, 1100, N, N)):
    """Partitions of which some are empty."""
    pieces = [X.iloc[start:stop] for start, stop in itertools.pairwise(bounds)]
    return dd.from_map(lambda piece: piece, pieces, meta=X.iloc[:0])


def transformers():
    return [
        ("standard", StandardScaler(), ["age", "weight"]),
        ("range", MinMaxScaler(), ["weight"]),
        ("largest", MaxAbsScaler(), ["size", "age"]),
        ("robust", RobustScaler(), ["age", "size"]),
        ("quantiles", QuantileTransformer(n_quantiles=50), ["weight"]),
        ("hot", OneHotEncoder(sparse_output=False, min_frequency=10), ["word", "kind"]),
        ("ordinal", OrdinalEncoder(), ["kind"]),
        ("mean", make_pipeline(SimpleImputer(), StandardScaler()), ["size", "age"]),
        ("median", make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()), ["size"]),
        (
            "frequent",
            make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(), MaxAbsScaler()),
            ["word"],
        ),
        (
            "through",
            make_pipeline(ROOT, "passthrough", MinMaxScaler(), None),
            ["age", "weight"],
        ),
        ("lengths", make_pipeline(Normalizer(), RobustScaler()), ["age", "weight"]),
    ]


def steps(transformer):
    some = transformer.steps if isinstance(transformer, Pipeline) else [("", transformer)]
    return [each for _, each in some if each is not None and not isinstance(each, str)]


def of_blocks(transformer, X):
    """What it makes of blocks that have rows, of which alone scikit-learn's take any."""
    model = clone(transformer).set_output(transform="pandas").fit(X.head(npartitions=-1))
    made = X.map_partitions(lambda block: model.transform(block) if len(block) else block)
    return made.to_dask_array(lengths=True) if isinstance(model, Normalizer) else made


@pytest.mark.parametrize("bounds", [(0, N), (0, 0, 400, 401, 401, 1100, N, N)])
def test_each_learns_the_bits_that_it_learns_alone(bounds, executor, asked):
    lazy, given = cut(frame(), bounds).persist(), transformers()
    found = ColumnTransformer(given).fit(lazy)
    assert len(asked) == 3  # as many as the pipeline of most steps has
    for name, transformer, columns in given:
        joined = steps(found.named_transformers_[name])
        X = lazy[columns]
        for together, alone in zip(joined, steps(clone(transformer)), strict=True):
            if isinstance(alone, FunctionTransformer | Normalizer):  # they learn nothing
                X = of_blocks(alone, X)
            else:
                X = alone.fit(X).transform(X).persist()
                assert fingerprint(together) == fingerprint(alone), name


def test_what_was_learned_transforms_as_in_memory(executor):
    X, given = frame(), transformers()
    found, wanted = ColumnTransformer(given).fit(cut(X)), ColumnTransformer(given).fit_transform(X)
    for made in (found.transform(cut(X)).compute(), found.to_sklearn().transform(X)):
        np.testing.assert_allclose(made, wanted, rtol=1e-6, atol=1e-12)


def test_missing_texts_of_dask_are_those_of_pandas(executor):
    X = frame()[["word", "text"]]
    lazy = cut(X)
    assert lazy.dtypes["word"].na_value is pd.NA
    given = [
        ("filled", SimpleImputer(strategy="most_frequent"), ["word"]),
        ("hot", OneHotEncoder(sparse_output=False), ["word"]),
        ("through", "passthrough", ["text"]),
    ]
    model = ColumnTransformer(given).fit(lazy)
    wanted = ColumnTransformer(given).fit_transform(X)
    assert (model.transform(lazy).compute().to_numpy() == wanted).all()


def test_six_transformers_are_asked_and_loaded_once(executor, asked, monkeypatch):
    loads = []
    from daskml_exec.partitions import _from_cluster

    aligned = _from_cluster.aligned_partitions
    monkeypatch.setattr(
        _from_cluster,
        "aligned_partitions",
        lambda *given, **named: loads.append(given[1]) or aligned(*given, **named),
    )
    ColumnTransformer(transformers()[:6]).fit(cut(frame()))
    assert len(asked) == 1
    assert len(loads) == 1


def test_what_cannot_join_asks_alone(executor, asked):
    X = frame()

    class Mine(StandardScaler):
        def fit(self, X, y=None, sample_weight=None):
            super().fit(X, y, sample_weight)
            self.mean_ = self.mean_ + 1.0
            return self

    given = [
        ("range", MinMaxScaler(), ["age"]),
        ("words", CountVectorizer(), "text"),
        ("mine", Mine(), ["age"]),
        ("target", TargetEncoder(), ["text"]),
        ("largest", MaxAbsScaler(), ["size"]),
    ]
    lazy = cut(X)
    found = ColumnTransformer(given).fit(lazy, lazy["age"] > 50)
    assert [len(getattr(each, "parts", ())) for each in asked].count(2) == 1
    assert found.named_transformers_["mine"].mean_[0] == pytest.approx(X["age"].mean() + 1)
    assert sorted(found.named_transformers_["words"].vocabulary_) == ["be", "not", "or", "to"]
    wanted = TargetEncoder().fit(X[["text"]], X["age"] > 50)
    assert fingerprint(found.named_transformers_["target"]) == fingerprint(wanted)


def test_of_several_failures_that_of_the_first_transformer_is_raised(executor):
    X = frame()
    X.loc[10, "weight"] = np.inf  # in the first partition
    X.loc[1300, "size"] = np.inf  # in the last one
    lazy = cut(X)
    weight = ("weights", MinMaxScaler(), ["age", "weight"])
    words = ("words", CountVectorizer(vocabulary=["be", "be"]), "text")
    size = ("sizes", make_pipeline(FunctionTransformer(np.abs), StandardScaler()), ["size"])
    second = ("second", make_pipeline(MinMaxScaler(), OneHotEncoder(drop=["no"])), ["age"])
    place = r"infinity in partition \d, column 1 \('weight'\)"
    for given, expected, note in [
        ([weight, size], place, "weights"),
        ([size, weight], r"infinity in partition \d, column 0 \('size'\)", "sizes"),
        ([second, weight], "drop", "second"),  # asked later than what fails at once
        ([weight, second], place, "weights"),
        ([words, weight], "be", "words"),
        ([weight, words], place, "weights"),
    ]:
        with pytest.raises(ValueError, match=expected) as raised:
            ColumnTransformer(given).fit(lazy)
        assert f"in the transformer {note!r}" in raised.value.__notes__


def test_dates_are_refused_where_they_are_asked_alone(executor):
    X = frame().assign(day=pd.Timestamp("2020-01-01"))
    lazy = cut(X)
    given = [("age", MinMaxScaler(), ["age"]), ("day", "drop", ["day"])]
    assert ColumnTransformer(given).fit(lazy).named_transformers_["age"].data_min_[0] == 20
    with pytest.raises(TypeError, match="column 'day'"):
        ColumnTransformer([*given[:1], ("day", StandardScaler(), ["day"])]).fit(lazy)


def test_sketches_are_asked_for_in_groups_that_there_is_room_for(executor, asked, monkeypatch):
    from daskml_exec.preprocessing import _orders, _together

    lazy = cut(frame())
    given = [
        ("robust", RobustScaler(), ["age", "weight"]),
        ("median", SimpleImputer(strategy="median"), ["size"]),
        ("range", MinMaxScaler(), ["size"]),
        ("quantiles", QuantileTransformer(n_quantiles=9), ["age"]),
    ]
    wanted = ColumnTransformer(given).fit(lazy)
    assert [len(each.parts) for each in asked] == [4]
    asked.clear()
    room = 2 * 8 * N
    monkeypatch.setattr(_orders, "GROUP_BYTES", room)
    monkeypatch.setattr(_together, "GROUP_BYTES", room)
    found = ColumnTransformer(given).fit(lazy)
    assert [len(each.parts) for each in asked] == [2, 2]
    for name, _, _ in given:
        ours, theirs = found.named_transformers_[name], wanted.named_transformers_[name]
        assert fingerprint(ours) == fingerprint(theirs)


@pytest.mark.parametrize("target", ["labels", "numbers"])
def test_target_encoders_cross_fit_in_fit_transform(target, executor):
    X = frame()
    y = X["age"] % 3 if target == "labels" else X["age"] / 7
    pipeline = make_pipeline(SimpleImputer(strategy="most_frequent"), TargetEncoder(cv=3))
    given = [
        ("range", MinMaxScaler(), ["age"]),
        ("target", TargetEncoder(), ["text", "kind"]),
        ("filled", pipeline, ["word"]),
    ]
    arguments = {"transformer_weights": {"filled": 2.0}, "remainder": "drop"}
    lazy = cut(X)
    model = ColumnTransformer(given, **arguments)
    made = model.fit_transform(lazy, cut(y.to_frame())["age"])
    wanted = ColumnTransformer(given, **arguments).fit_transform(X, y)
    assert list(made.columns) == list(model.get_feature_names_out())
    found = made.compute()
    assert (found.index == X.index).all()
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    leaking = model.transform(lazy).compute()
    assert (leaking.iloc[:, 1:] != found.iloc[:, 1:]).to_numpy().any()
    alone = TargetEncoder().fit_transform(lazy[["text", "kind"]], cut(y.to_frame())["age"])
    width = alone.shape[1]
    assert (found.iloc[:, 1 : 1 + width].to_numpy() == alone.compute().to_numpy()).all()


def test_crossed_columns_beside_sparse_ones(executor):
    X = frame()
    y = X["age"] > 50
    given = [("hot", OneHotEncoder(), ["age"]), ("target", TargetEncoder(), ["text"])]
    made = ColumnTransformer(given).fit_transform(cut(X), cut(y.to_frame())["age"])
    wanted = ColumnTransformer(given).fit_transform(X, y)
    np.testing.assert_allclose(made.compute().toarray(), wanted.toarray(), rtol=1e-12)
    sparse = make_pipeline(TargetEncoder(), OneHotEncoder(handle_unknown="ignore"))
    with pytest.raises(ValueError, match="'sparse' makes sparse rows behind a TargetEncoder"):
        ColumnTransformer([("sparse", sparse, ["text"])]).fit_transform(
            cut(X), cut(y.to_frame())["age"]
        )
