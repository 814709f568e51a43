"""What is wrong with documents is said by its place, on the cluster as in memory."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from daskml_exec.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfVectorizer,
)
from tests.feature_extraction.toolbox import DOCUMENTS, array, bag, futures, matrix, series

KINDS = [CountVectorizer, TfidfVectorizer]
BAD = {"None": None, "NaN": float("nan"), "NA": pd.NA, "a number": 3, "a list": ["a"]}


def with_bad(document):
    made = list(DOCUMENTS)
    made[10] = document
    return made


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", KINDS)
def test_documents_that_are_no_texts(executor, kind, bad):
    documents = with_bad(BAD[bad])
    cases = {
        "document 10 in partition 0 is": documents,
        "document 3 of partition 3, column 'about', is": series(documents, (0, 7, 0, 17)),
        "document 10 in partition 2 is": array(documents, (7, 0, 17)),
        "document 2 of partition 1 is": futures(documents, executor, (8, 16)),
    }
    if not bad.startswith("N"):
        del cases["document 3 of partition 3, column 'about', is"]  # Dask makes texts of these
    for message, X in cases.items():
        for method in ("fit", "fit_transform"):
            with pytest.raises(TypeError, match=f"^{message}.*allowed are str and bytes") as raised:
                getattr(kind(), method)(X)
            assert ("missing" in str(raised.value)) is (bad in ("None", "NaN", "NA"))


def test_the_first_of_several_is_named(executor):
    documents = with_bad(None)
    documents[20] = 4
    with pytest.raises(TypeError, match="document 10 in partition 1 is missing"):
        CountVectorizer().fit(array(documents, (8, 8, 8)))


@pytest.mark.parametrize("kind", [*KINDS, HashingVectorizer])
def test_transform_names_the_place(executor, kind):
    model = kind().fit(DOCUMENTS)
    with pytest.raises(TypeError, match="document 10 of X is missing"):
        model.transform(with_bad(None))
    with pytest.raises(TypeError, match="document 2 of a block is missing"):
        matrix(model.transform(array(with_bad(None))))


@pytest.mark.parametrize("kind", [*KINDS, HashingVectorizer])
def test_what_are_no_documents(kind):
    model = kind()
    for method in ("fit", "transform", "fit_transform"):
        call = getattr(kind().fit(DOCUMENTS) if method == "transform" else model, method)
        with pytest.raises(ValueError, match=r"^Iterable over raw text documents expected"):
            call("one text")
        with pytest.raises(ValueError, match=r"X has 2 dimensions; .* X\[:, column\]"):
            call(np.array([["a", "b"]]))
        with pytest.raises(ValueError, match=r"X has 2 dimensions"):
            call(da.from_array(np.array([["a", "b"]]), chunks=1))
        with pytest.raises(TypeError, match=r"columns \['about', 'by'\]; .*: X\['about'\]"):
            call(pd.DataFrame({"about": ["a"], "by": ["b"]}))
        with pytest.raises(TypeError, match=r"columns \['about'\]; .*: X\['about'\]"):
            call(series(DOCUMENTS).to_frame())
        with pytest.raises(TypeError, match="X is None; allowed is a list"):
            call(None)
        with pytest.raises(TypeError, match="X is of int; allowed is a list"):
            call(3)


def test_blocks_that_are_frames(executor):
    frames = [executor.submit(pd.DataFrame, {"about": ["a text"]})]
    with pytest.raises(TypeError, match="partition 0 of X is a dataframe with the columns"):
        CountVectorizer().fit(frames)
    matrices = [executor.submit(np.array, [["a", "b"]])]
    with pytest.raises(ValueError, match="partition 0 of X has 2 dimensions"):
        CountVectorizer().fit(matrices)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("as_given", [list, array], ids=["memory", "cluster"])
def test_no_terms(executor, kind, as_given):
    def given(documents):
        return as_given(documents) if as_given is list else array(documents, (len(documents),))

    with pytest.raises(ValueError, match=r"empty vocabulary.*: X has no documents"):
        kind().fit(given([]))
    with pytest.raises(ValueError, match=r"empty vocabulary.*of 2 documents none has a term"):
        kind(stop_words=["the"]).fit(given(["the", "a b"]))
    with pytest.raises(
        ValueError, match=r"After pruning, no terms remain.*of 2 terms none is in 2"
    ):
        kind(min_df=2).fit_transform(given(["one", "two"]))
    with pytest.raises(
        ValueError, match=r"max_df corresponds to < documents than min_df.*max_df=1"
    ):
        kind(min_df=2, max_df=1).fit(given(["one", "two"]))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters(kind):
    for parameters in ({"min_df": -1}, {"analyzer": "words"}, {"max_features": 0}):
        with pytest.raises(ValueError, match=f"The '{next(iter(parameters))}' parameter of"):
            kind(**parameters).fit(DOCUMENTS)
    with pytest.raises(ValueError, match="Invalid value for ngram_range"):
        kind(ngram_range=(2, 1)).fit(DOCUMENTS)
    with pytest.raises(ValueError, match="empty vocabulary passed to fit"):
        kind(vocabulary=[]).fit(DOCUMENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_raises_changes_nothing(executor, kind):
    model = kind().fit(DOCUMENTS)
    before = dict(vars(model))
    for X in (with_bad(None), array(with_bad(None)), []):
        with pytest.raises((TypeError, ValueError)):
            model.fit_transform(X)
        assert vars(model) == before


def test_what_a_function_raises_is_raised(executor):
    def analyzer(document):
        raise KeyError(document)

    for X in (DOCUMENTS, array(DOCUMENTS)):
        with pytest.raises(KeyError):
            CountVectorizer(analyzer=analyzer).fit(X)


def test_unknown_divisions(executor):
    frame = pd.DataFrame({"about": DOCUMENTS, "kept": np.arange(len(DOCUMENTS)) % 2 == 0})
    some = dd.from_pandas(frame, npartitions=3).clear_divisions()
    some = some[some["kept"]]["about"]
    found = CountVectorizer().fit_transform(some)
    assert found.shape[0] == len(DOCUMENTS) / 2


def test_bags_are_for_documents(executor):
    from daskml_exec.linear_model import Ridge

    with pytest.raises(TypeError, match=r"X is a Dask bag.*allowed are Dask arrays"):
        Ridge().fit(bag(DOCUMENTS), np.zeros(len(DOCUMENTS)))
    X = da.zeros((len(DOCUMENTS), 2), chunks=5)
    with pytest.raises(TypeError, match="y is a Dask bag"):
        Ridge().fit(X, bag(DOCUMENTS))
