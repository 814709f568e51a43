"""Vectorizers in files: what is opened has the same terms and makes the same matrix, to the bit."""

import os
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from safetensors import safe_open
from sklearn.pipeline import make_pipeline

from daskml_exec import open_model, save
from daskml_exec.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfTransformer,
    TfidfVectorizer,
)
from daskml_exec.feature_extraction.text._saved import VALUES
from daskml_exec.linear_model import LogisticRegression
from daskml_exec.preprocessing import ColumnTransformer, MaxAbsScaler
from tests.conftest import ROOT
from tests.feature_extraction.test_pipeline import texts_and_labels
from tests.feature_extraction.toolbox import (
    CLASSES,
    DOCUMENTS,
    PARAMETERS,
    WEIGHTS,
    array,
    check_fitted,
    matrix,
    series,
    tokens_of,
)

FILE = "memory://vectorizer.safetensors"
CODE = {"analyzer", "tokenizer", "preprocessor", "strip_accents"}


def opened(model):
    save(model, FILE)
    return open_model(FILE)


def check_same_bits(found, expected):
    assert (type(found), found.shape, found.dtype) == (
        type(expected),
        expected.shape,
        expected.dtype,
    )
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def plain(parameters):
    return not any(callable(parameters.get(name)) for name in CODE)


PLAIN = {name: each for name, each in PARAMETERS.items() if plain(each)}
CASES = [(kind, name, each) for kind, _ in CLASSES for name, each in PLAIN.items()]
CASES += [(TfidfVectorizer, name, each) for name, each in WEIGHTS.items()]
NAMES = [f"{kind.__name__}-{name}" for kind, name, _ in CASES]


@pytest.mark.filterwarnings("ignore:Upper case characters")
@pytest.mark.parametrize(
    ("kind", "parameters"), [(kind, each) for kind, _, each in CASES], ids=NAMES
)
def test_every_parameter(kind, parameters):
    model = kind(**parameters)
    assert opened(model).get_params() == model.get_params()
    expected = model.fit_transform(DOCUMENTS)
    again = opened(model)
    assert again.get_params() == model.get_params()
    assert list(again.vocabulary_.items()) == list(model.vocabulary_.items())
    check_fitted(again, model)
    check_same_bits(again.transform(DOCUMENTS), expected)
    check_same_bits(again.fit_transform(DOCUMENTS), expected)


@pytest.mark.parametrize("kind", [kind for kind, _ in CLASSES])
def test_what_was_learned_on_a_cluster(executor, kind):
    model = kind(ngram_range=(1, 2), stop_words=["the"]).fit(series(DOCUMENTS))
    again = opened(model)
    check_same_bits(
        matrix(again.transform(array(DOCUMENTS))), matrix(model.transform(array(DOCUMENTS)))
    )
    check_same_bits(again.to_sklearn().transform(DOCUMENTS), model.transform(DOCUMENTS))
    assert opened(again).vocabulary_ == model.vocabulary_


@pytest.mark.parametrize("names", [None, ["the", "cat"]])
def test_weights(executor, names):
    counts = pd.DataFrame([[2, 1], [1, 0], [0, 3]], columns=names)
    for model in (TfidfTransformer(norm="l1").fit(counts), TfidfTransformer(use_idf=False)):
        model.fit(counts)
        again = opened(model)
        assert list(vars(again)) == list(vars(model))
        check_same_bits(again.transform(counts), model.transform(counts))


def test_hashes(executor):
    model = HashingVectorizer(n_features=64, alternate_sign=False, stop_words=["cat"])
    again = opened(model.fit(series(DOCUMENTS)))
    assert again.get_params() == model.get_params()
    check_same_bits(again.transform(DOCUMENTS), model.transform(DOCUMENTS))


def test_idf_that_was_given():
    model = TfidfVectorizer(vocabulary=["cat", "the"])
    model.idf_ = np.array([1.0, 2.0])
    check_same_bits(opened(model).transform(DOCUMENTS), model.transform(DOCUMENTS))


def test_parameters_that_were_set_since():
    model = TfidfVectorizer().fit(DOCUMENTS).set_params(norm=None, use_idf=False)
    check_same_bits(opened(model).transform(DOCUMENTS), model.transform(DOCUMENTS))


@pytest.mark.parametrize(
    "documents",
    [["a\0b\nc", "\0\0", "\ud800 \U0001f600", "é"], ["x"]],
    ids=["odd characters", "one term"],
)
def test_terms_of_any_characters(documents):
    model = CountVectorizer(analyzer="char", ngram_range=(1, 2)).fit(documents)
    assert opened(model).vocabulary_ == model.vocabulary_
    given = CountVectorizer(vocabulary=[*documents, ""])
    assert opened(given.fit(documents)).vocabulary_ == given.vocabulary_


@pytest.mark.parametrize("over_series", [True, False])
@pytest.mark.parametrize(
    "steps",
    [
        (TfidfVectorizer(min_df=2, sublinear_tf=True),),
        (CountVectorizer(), TfidfTransformer()),
        (HashingVectorizer(n_features=128),),
    ],
    ids=["tfidf", "counts", "hashes"],
)
def test_in_a_pipeline(executor, steps, over_series):
    texts, labels = texts_and_labels()
    X = series(texts, (40, 0, 30, 50)) if over_series else texts
    model = make_pipeline(*steps, LogisticRegression()).fit(X, labels)
    again = opened(model)
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    np.testing.assert_array_equal(np.asarray(again.predict(X)), np.asarray(model.predict(X)))
    assert again[-1].history_ == model[-1].history_
    assert set(again[0].get_params()) == set(model[0].get_params())


def test_terms_are_arrays_of_letters(tmp_path):
    path = tmp_path / "model.safetensors"
    model = TfidfVectorizer().fit(DOCUMENTS)
    save(model, path)
    with safe_open(path, framework="numpy") as file:
        letters, lengths = map(file.get_tensor, ["vocabulary_.letters", "vocabulary_.lengths"])
        np.testing.assert_array_equal(file.get_tensor("_tfidf.learned.idf_"), model.idf_)
    ends = np.cumsum(lengths)
    terms = [
        letters[end - n : end].tobytes().decode() for n, end in zip(lengths, ends, strict=True)
    ]
    assert terms == list(model.vocabulary_)


@pytest.mark.parametrize("name", sorted(CODE))
@pytest.mark.parametrize(
    "function",
    [str.split, tokens_of, lambda document: document, partial(tokens_of)],
    ids=["method", "function", "lambda", "partial"],
)
def test_functions_are_refused_by_name(name, function):
    for kind in (CountVectorizer, TfidfVectorizer, HashingVectorizer):
        model = kind(**{name: function})
        for each in (model, make_pipeline(model, LogisticRegression())):
            with pytest.raises(
                TypeError, match=rf"parameters\.{name} is a function, .*, and files hold no code"
            ):
                save(each, FILE)


def test_a_derived_class_is_refused():
    class Shouting(CountVectorizer):
        pass

    with pytest.raises(TypeError, match=r"Shouting; allowed are .*CountVectorizer"):
        save(Shouting(), FILE)


def test_it_is_opened_where_nothing_else_was_imported(tmp_path):
    texts, labels = texts_and_labels()
    table = pd.DataFrame({"text": texts, "size": np.arange(len(texts))})
    columns = ColumnTransformer(
        [("words", TfidfVectorizer(), "text"), ("numbers", MaxAbsScaler(), ["size"])]
    )
    model = make_pipeline(columns, LogisticRegression()).fit(table, labels)
    save(model, tmp_path / "model")
    table.to_json(tmp_path / "table")
    code = (
        "import daskml_exec, pandas\n"
        "model = daskml_exec.open_model('model')\n"
        "print(*model.predict(pandas.read_json('table')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == model.predict(table).tolist()


VOCABULARY, TFIDF, SET = (each.whole for each in VALUES)
LETTERS, LENGTHS = np.frombuffer(b"abc", np.uint8), np.array([1, 2], np.uint32)


@pytest.mark.parametrize(
    ("whole", "parts", "message"),
    [
        (VOCABULARY, {"letters": LETTERS}, "not the parts of a vocabulary"),
        (VOCABULARY, {"letters": LETTERS, "lengths": LENGTHS[:1]}, "not their lengths"),
        (VOCABULARY, {"letters": LETTERS, "lengths": [1, 2]}, "not their lengths"),
        (VOCABULARY, {"letters": LETTERS, "lengths": LENGTHS.astype(int)}, "not their lengths"),
        (VOCABULARY, {"letters": LETTERS * 0 + 97, "lengths": LENGTHS * 0 + [1, 1]}, "not their"),
        (
            VOCABULARY,
            {"letters": LETTERS[[0, 0]], "lengths": np.array([1, 1], np.uint32)},
            "has a term twice",
        ),
        (VOCABULARY, {"letters": LETTERS + np.uint8(150), "lengths": LENGTHS}, "can't decode"),
        (TFIDF, {"parameters": {}}, "not the parts of a TfidfTransformer"),
        (TFIDF, {"parameters": {"norms": "l1"}, "learned": {}}, "not the parts of"),
        (TFIDF, {"parameters": {}, "learned": {"fit": 1}}, "not the parts of"),
        (SET, "ab", "not the members of a set"),
        (SET, ([],), "no set: "),
    ],
)
def test_parts_that_are_none(whole, parts, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        whole(parts)


def test_only_terms_in_order_are_letters():
    takes = VALUES[0].takes
    assert takes({"b": 0, "a": 1})
    for other in ({}, {"a": 1}, {"a": 0, "b": 2}, {"a": True}, {1: 0}, {("a", "b"): 0}, ["a"]):
        assert not takes(other)
    mapped = CountVectorizer(vocabulary={"the": 1, "cat": 0}).fit(DOCUMENTS)
    assert opened(mapped).vocabulary_ == {"the": 1, "cat": 0}
    assert sp.issparse(opened(mapped).transform(DOCUMENTS))
