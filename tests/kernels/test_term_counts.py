"""Counts of terms, merged from any pieces, are those of all documents at once."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from daskml_exec.kernels.term_counts import (
    Numbers,
    TermCounts,
    TermsOf,
    counted,
    counted_of,
    finished,
    merged,
    numbers_of,
    renumbered,
    terms_nbytes,
)
from daskml_exec.kernels.term_weights import chosen, inverse_document_frequencies

DOCUMENTS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), min_size=1, max_size=9)


@dataclass(frozen=True)
class Given:
    """Documents that are lists of terms already."""

    end: str = "end"

    def __call__(self, documents):
        return [term for document in documents for term in (*document, self.end)]

    def is_term(self, found):
        return found != "h"


def none(n_terms):
    pass


def as_scikit_learn(documents, **parameters):
    """Its vectorizer of such documents, and their matrix; None where there is no term."""
    vectorizer = CountVectorizer(analyzer=lambda each: [t for t in each if t != "h"], **parameters)
    try:
        return vectorizer, vectorizer.fit_transform(documents)
    except ValueError:
        return vectorizer, None


def together(documents, cuts, terms_of):
    bounds = [0, *sorted(min(cut, len(documents)) for cut in cuts), len(documents)]
    pieces = [counted(documents[a:b], Given(), none) for a, b in itertools.pairwise(bounds)]
    total = terms_of(pieces[0])
    for piece in pieces[1:]:
        total = merged(total, terms_of(piece))
    return pieces, total


@given(documents=DOCUMENTS, cuts=st.lists(st.integers(0, 9), max_size=3), binary=st.booleans())
def test_pieces_together_are_the_whole(documents, cuts, binary):
    oracle, expected = as_scikit_learn(documents, binary=binary)
    pieces, total = together(documents, cuts, TermsOf(np.dtype(np.int64), binary))
    names, found = chosen(total, least=1, most=len(documents), limit=None)
    if expected is None:
        assert names == []
        return
    vocabulary = Numbers({name: column for column, name in enumerate(names)})
    assert vocabulary == oracle.vocabulary_
    matrices = [renumbered(piece, vocabulary) for piece in pieces]
    assert all(each.has_canonical_format for each in matrices)
    dense = np.vstack([finished(each, np.int64, binary=binary).toarray() for each in matrices])
    np.testing.assert_array_equal(dense, expected.toarray())
    np.testing.assert_array_equal(found, (expected.toarray() > 0).sum(axis=0))
    order = np.argsort(np.array(total.names))
    np.testing.assert_array_equal(total.totals[order], expected.toarray().sum(axis=0))


@given(documents=DOCUMENTS, limit=st.integers(1, 8), least=st.integers(1, 3))
def test_the_same_terms_are_kept(documents, limit, least):
    oracle, expected = as_scikit_learn(documents, max_features=limit, min_df=least)
    _, total = together(documents, [2], TermsOf(np.dtype(np.int64)))
    names, _ = chosen(total, least=least, most=len(documents), limit=limit)
    assert names == ([] if expected is None else sorted(oracle.vocabulary_))


def test_ties_are_broken_as_by_scikit_learn():
    """Of many terms with few totals NumPy's order is no simple one."""
    rng = np.random.default_rng(0)
    documents = [[f"w{n}" for n in rng.integers(2_000, size=7)] for _ in range(900)]
    for dtype in (np.int64, np.float32, np.float64):
        oracle, _ = as_scikit_learn(documents, max_features=500, dtype=dtype)
        _, total = together(documents, [300, 301], TermsOf(np.dtype(dtype)))
        names, _ = chosen(total, least=1, most=900, limit=500)
        assert names == sorted(oracle.vocabulary_)


@given(documents=DOCUMENTS)
def test_a_given_vocabulary(documents):
    vocabulary = {"c": 0, "h": 1, "never": 2, "a": 3}
    numbers = numbers_of(vocabulary, Given())
    counts = counted_of(documents, Given(), numbers, 4)
    _, expected = as_scikit_learn(documents, vocabulary=vocabulary)
    np.testing.assert_array_equal(counts.toarray(), expected.toarray())
    assert counts.has_canonical_format
    total = merged(*[TermsOf()(TermCounts(counts, None))] * 2)
    np.testing.assert_array_equal(total.documents, 2 * (expected.toarray() > 0).sum(axis=0))
    assert total.pickled is None and total.n_documents == 2 * len(documents)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smooth", [True, False])
def test_weights_are_those_of_scikit_learn(smooth, dtype):
    X = (np.arange(60).reshape(12, 5) % 7 < 3).astype(dtype)
    oracle = TfidfTransformer(smooth_idf=smooth).fit(X)
    found = inverse_document_frequencies(
        (X > 0).sum(axis=0), len(X), smooth=smooth, dtype=np.dtype(dtype)
    )
    np.testing.assert_array_equal(found, oracle.idf_)
    assert found.dtype == oracle.idf_.dtype


def test_the_check_is_told_while_terms_are_counted():
    told = []
    counted([[f"{n}"] for n in range(2_500)], Given(), told.append)
    assert told == sorted(told) and len(told) == 3 and told[0] <= 1_001


def test_bytes_of_terms():
    assert terms_nbytes(["abc"]) - terms_nbytes(["a"]) == 2
    assert terms_nbytes([(1, 2)]) > 0 == terms_nbytes([])
