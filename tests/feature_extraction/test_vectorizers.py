"""Vocabularies, weights and matrices are scikit-learn's, from any kind and cut of documents."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from distributed import wait
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction import text as scikit

from daskml_exec.feature_extraction.text import CountVectorizer, TfidfVectorizer
from tests.executor.peers.leftovers import until
from tests.executor.rounds import until_released
from tests.feature_extraction.toolbox import (
    CLASSES,
    DOCUMENTS,
    PARAMETERS,
    WEIGHTS,
    array,
    bag,
    check_fitted,
    check_same,
    futures,
    matrix,
    series,
)
from tests.tiers import slow

CASES = [(pair, parameters) for pair in CLASSES for parameters in PARAMETERS.values()]
CASES += [(CLASSES[1], parameters) for parameters in WEIGHTS.values()]
NAMES = [f"{kind.__name__}-{name}" for kind, _ in CLASSES for name in PARAMETERS]
NAMES += [f"TfidfVectorizer-{name}" for name in WEIGHTS]


def check(kinds, parameters, X, *, documents=DOCUMENTS):
    ours, theirs = (kind(**parameters) for kind in kinds)
    expected = theirs.fit_transform(documents)
    check_same(matrix(ours.fit_transform(X)), expected)
    check_fitted(ours, theirs)
    other = clone(ours).fit(X)
    check_fitted(other, theirs)
    check_same(matrix(other.transform(X)), expected)
    return ours, expected


@pytest.mark.filterwarnings("ignore:Upper case characters", "ignore:The parameter")
@pytest.mark.parametrize(("kinds", "parameters"), CASES, ids=NAMES)
def test_in_memory(kinds, parameters):
    ours, expected = check(kinds, parameters, DOCUMENTS)
    check_same(ours.to_sklearn().transform(DOCUMENTS), expected)
    with dask.config.set({"daskml-exec.partition-bytes": 200}):  # several partitions, in threads
        check(kinds, parameters, DOCUMENTS)


# By default each parameter of words with one of the classes, which read them in the same way.
@pytest.mark.filterwarnings("ignore:Upper case characters", "ignore:The parameter")
@pytest.mark.parametrize(
    ("kinds", "parameters"),
    [
        slow(*case) if at < 2 * len(PARAMETERS) and sum(divmod(at, len(PARAMETERS))) % 2 else case
        for at, case in enumerate(CASES)
    ],
    ids=NAMES,
)
def test_on_a_cluster(executor, kinds, parameters):
    check(kinds, parameters, array(DOCUMENTS))


KINDS = {
    "series": lambda executor: series(DOCUMENTS),
    "array of objects": lambda executor: array(DOCUMENTS),
    "array of fixed width": lambda executor: array(DOCUMENTS, dtype=str),
    "bag": lambda executor: bag(DOCUMENTS),
    "futures": lambda executor: futures(DOCUMENTS, executor),
    "list": lambda executor: DOCUMENTS,
    "pandas": lambda executor: pd.Series(DOCUMENTS, index=range(100, 124)),
    "pandas' texts": lambda executor: pd.Series(DOCUMENTS, dtype="str"),
    "NumPy": lambda executor: np.array(DOCUMENTS),
    "tuple": lambda executor: tuple(DOCUMENTS),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kinds", CLASSES, ids=["count", "tfidf"])
def test_kinds_of_documents(executor, kinds, kind):
    check(kinds, {}, KINDS[kind](executor))


def test_an_iterator_is_read_once():
    check_same(
        CountVectorizer().fit_transform(iter(DOCUMENTS)),
        scikit.CountVectorizer().fit_transform(DOCUMENTS),
    )


def test_what_comes_back(executor):
    vectorizer = TfidfVectorizer()
    known = vectorizer.fit_transform(array(DOCUMENTS))
    assert known.chunks == ((0, 7, 1, 16), (len(vectorizer.vocabulary_),))
    assert vectorizer.transform(array(DOCUMENTS)).chunks == known.chunks
    assert vectorizer.fit_transform(series(DOCUMENTS)).chunks == known.chunks  # it was counted
    assert np.isnan(vectorizer.transform(series(DOCUMENTS)).chunks[0]).all()
    assert len(vectorizer.fit_transform(futures(DOCUMENTS, executor))) == 4
    assert sp.issparse(vectorizer.fit_transform(DOCUMENTS))
    assert known.dtype == np.float64 and sp.issparse(known._meta)


@given(
    documents=st.lists(st.text("abÉé Σ1_\0", max_size=9), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=3),
)
@settings(max_examples=15)
def test_any_cut(executor, documents, cuts):
    bounds = [0, *sorted(min(cut, len(documents)) for cut in cuts), len(documents)]
    X = array(documents, np.diff(bounds).tolist())
    try:
        scikit.TfidfVectorizer().fit(documents)
    except ValueError:
        with pytest.raises(ValueError, match="empty vocabulary"):
            TfidfVectorizer().fit_transform(X)
        return
    check(CLASSES[1], {}, X, documents=documents)


def test_bytes_are_decoded(executor):
    latin = [each.encode("latin-1", errors="replace") for each in DOCUMENTS]
    parameters = {"encoding": "latin-1"}
    check(CLASSES[0], parameters, latin, documents=latin)
    check(CLASSES[0], parameters, array(latin), documents=latin)
    mixed = [latin[0], *DOCUMENTS[1:]]
    check(CLASSES[0], parameters, mixed, documents=mixed)
    with pytest.raises(UnicodeDecodeError):
        CountVectorizer().fit(array(latin))


def test_files_are_read_by_workers(executor, tmp_path):
    names = []
    for index, document in enumerate(DOCUMENTS[:5]):
        names.append(str(tmp_path / f"{index}.txt"))
        (tmp_path / f"{index}.txt").write_text(document, "utf-8")
    parameters = {"input": "filename"}
    check(CLASSES[1], parameters, array(names, (2, 3)), documents=names)
    check(CLASSES[1], parameters, names, documents=names)


def test_documents_may_be_lists_of_terms():
    lists = [document.split() for document in DOCUMENTS]
    check(CLASSES[0], {"analyzer": lambda terms: terms}, lists, documents=lists)


def test_a_derived_class_has_its_own_analyzer(executor):
    class Shouting(CountVectorizer):
        def build_tokenizer(self):
            return lambda document: document.upper().split()

    found = Shouting().fit(array(DOCUMENTS))
    assert "CAT" in found.vocabulary_ and "cat" not in found.vocabulary_


def test_inverse_transform_and_analyzer():
    ours, theirs = (kind().fit(DOCUMENTS) for kind in CLASSES[0])
    X = theirs.transform(DOCUMENTS)
    for found, expected in zip(ours.inverse_transform(X), theirs.inverse_transform(X), strict=True):
        assert found.tolist() == expected.tolist()
    assert ours.build_analyzer()("The cats") == ["the", "cats"]


@pytest.mark.parametrize("kinds", CLASSES, ids=["count", "tfidf"])
def test_clone_and_pickle(executor, kinds):
    ours = kinds[0](min_df=2).fit(series(DOCUMENTS))
    assert clone(ours).get_params() == kinds[1](min_df=2).get_params()
    again = pickle.loads(pickle.dumps(ours))
    check_same(again.transform(DOCUMENTS), ours.transform(DOCUMENTS))


def test_new_documents(executor):
    new = ["a new cat", "", "nothing"]
    ours, theirs = (kind(max_features=5).fit(DOCUMENTS) for kind in CLASSES[1])
    check_same(matrix(ours.transform(array(new, (2, 0, 1)))), theirs.transform(new))
    check_same(ours.transform([]), theirs.transform(DOCUMENTS)[:0].astype(np.float64))


def test_idf_can_be_given():
    ours = TfidfVectorizer(vocabulary=["cat", "the"])
    ours.idf_ = np.array([1.0, 2.0])
    theirs = scikit.TfidfVectorizer(vocabulary=["cat", "the"])
    theirs.idf_ = np.array([1.0, 2.0])
    check_same(ours.transform(DOCUMENTS), theirs.transform(DOCUMENTS))


def test_a_given_vocabulary_needs_no_fit(executor):
    found = CountVectorizer(vocabulary=["cat"]).transform(array(DOCUMENTS))
    check_same(matrix(found), scikit.CountVectorizer(vocabulary=["cat"]).transform(DOCUMENTS))


@pytest.mark.parametrize("kinds", CLASSES, ids=["count", "tfidf"])
def test_unfitted(executor, kinds):
    for X in (DOCUMENTS, array(DOCUMENTS)):
        with pytest.raises(NotFittedError):
            kinds[0]().transform(X)


def test_warnings_are_those_of_scikit_learn(executor):
    with pytest.warns(UserWarning, match="stop_words may be inconsistent"):
        CountVectorizer(stop_words=["it's"]).fit(array(DOCUMENTS))
    with pytest.warns(UserWarning, match="'token_pattern' will not be used"):
        CountVectorizer(analyzer=str.split, token_pattern="x").fit(DOCUMENTS)
    with pytest.warns(UserWarning, match="Only .* 'dtype' should be used"):
        TfidfVectorizer(dtype=np.int64).fit(DOCUMENTS)


@pytest.mark.parametrize("where", ["memory", "cluster"])
def test_documents_are_analysed_once(executor, tmp_path, where):
    seen = tmp_path / "seen"

    def analyzer(document):
        with seen.open("a") as file:
            file.write("x")
        return document.split()

    X = DOCUMENTS if where == "memory" else array(DOCUMENTS)
    assert matrix(CountVectorizer(analyzer=analyzer).fit_transform(X)).shape[0] == len(DOCUMENTS)
    assert len(seen.read_text()) == len(DOCUMENTS)


def test_nothing_stays_on_workers(executor):
    client = executor.client
    vectorizer = TfidfVectorizer().fit(series(DOCUMENTS))
    until_released(client, "map-")
    made = vectorizer.fit_transform(series(DOCUMENTS))
    assert made.compute().shape[0] == len(DOCUMENTS)
    assert any("map-" in key for key in client.run_on_scheduler(_keys))
    del made
    until_released(client, "map-")
    until_released(client, "assemble")
    with pytest.raises(ValueError, match="no terms remain"):
        CountVectorizer(min_df=24).fit_transform(series(DOCUMENTS))
    until_released(client, "map-")


def test_terms_of_documents(executor):
    vectorizer, theirs = CountVectorizer(), scikit.CountVectorizer()
    counts, expected = vectorizer.fit_transform(array(DOCUMENTS)), theirs.fit_transform(DOCUMENTS)
    found = vectorizer.inverse_transform(matrix(counts))
    for ours, wanted in zip(found, theirs.inverse_transform(expected), strict=True):
        assert ours.tolist() == sorted(wanted.tolist())
    with pytest.raises(TypeError, match=r"X is of Array; .*inverse_transform\(X.compute\(\)\)"):
        vectorizer.inverse_transform(counts)


ASKED = threading.Event()


def when_asked(document):
    assert ASKED.wait(20)
    return document.split()


def test_what_terms_there_are_is_asked_before_all_are_counted(executor):
    """Where documents are on Workers: a round trip is saved."""
    ASKED.clear()
    client = executor.client
    X = client.persist(bag(DOCUMENTS))
    wait(X)
    with ThreadPoolExecutor(1) as thread:
        made = thread.submit(CountVectorizer(analyzer=when_asked).fit_transform, X)
        try:
            until(lambda: any("terms-" in key for key in client.run_on_scheduler(_keys)))
        finally:
            ASKED.set()
        assert matrix(made.result()).shape[0] == len(DOCUMENTS)


def _keys(dask_scheduler):
    return [str(key) for key in dask_scheduler.tasks]
