"""Documents, the kinds in which they are given, and what to compare."""

import itertools

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction import text as scikit

from daskml_exec.feature_extraction import text

DOCUMENTS = [
    "The cat sat on the mat; a cat!",
    "Über den Wolken, CAT and dog_1",
    "",
    "a b c",
    "dog_1 dog_1 the ΩΣ ΩΣ Ωmega éclair",
    "It is\x00what\tit is, the naïve cat 42",
    "Straße straße İstanbul",
    "mat mat mat",
] * 3

CLASSES = [
    (text.CountVectorizer, scikit.CountVectorizer),
    (text.TfidfVectorizer, scikit.TfidfVectorizer),
]


def tokens_of(document):
    """A callable that worker processes can import."""
    return document.split()


def pairs_of(document):
    """Terms that are no texts."""
    return list(itertools.pairwise(document))


# One value of each parameter, some together.
PARAMETERS = {
    "defaults": {},
    "stop words": {"stop_words": "english"},
    "list of stop words": {"stop_words": ["cat", "é", "the"], "lowercase": False},
    "n-grams": {"ngram_range": (1, 3)},
    "n-grams and stop words": {"ngram_range": (2, 2), "stop_words": ["the"]},
    "characters": {"analyzer": "char", "ngram_range": (1, 2)},
    "characters in words": {"analyzer": "char_wb", "ngram_range": (2, 3)},
    "analyzer": {"analyzer": tokens_of},
    "analyzer of pairs": {"analyzer": pairs_of},
    "lambda": {"analyzer": lambda document: document.split("a")},
    "tokenizer": {"tokenizer": tokens_of, "token_pattern": None},
    "preprocessor": {"preprocessor": str.upper},
    "pattern": {"token_pattern": r"\b\w\b"},
    "accents": {"strip_accents": "unicode"},
    "ASCII accents": {"strip_accents": "ascii", "stop_words": "english"},
    "own accents": {"strip_accents": str.swapcase},
    "counts": {"min_df": 6, "max_df": 9},
    "shares": {"min_df": 0.2, "max_df": 0.6},
    "limit": {"max_features": 4},
    "limit and shares": {"max_features": 3, "max_df": 0.5, "binary": True},
    "binary": {"binary": True},
    "dtype": {"dtype": np.float32},
    "list": {"vocabulary": ["the", "cat", "never", "a"]},
    "set": {"vocabulary": {"the", "cat", "dog_1"}, "stop_words": ["the"]},
    "mapping": {"vocabulary": {"the": 1, "cat": 0}},
}

WEIGHTS = {
    "l1": {"norm": "l1"},
    "no norm": {"norm": None, "smooth_idf": False},
    "no idf": {"use_idf": False},
    "sublinear": {"sublinear_tf": True, "dtype": np.float32},
    "no idf of a vocabulary": {"use_idf": False, "vocabulary": ["cat", "the"]},
}


def cut(documents, sizes):
    ends = np.cumsum(sizes)
    return [documents[end - size : end] for size, end in zip(sizes, ends, strict=True)]


SIZES = (0, 7, 1, 16)
"""Rows of partitions; the first has none."""


def series(documents, sizes=SIZES):
    pieces = [pd.Series(piece, dtype=object, name="about") for piece in cut(documents, sizes)]
    meta = pd.Series([], dtype=object, name="about")
    return dd.from_map(lambda i: pieces[i], list(range(len(pieces))), meta=meta)


def array(documents, sizes=SIZES, dtype=object):
    return da.from_array(np.array(documents, dtype=dtype), chunks=(tuple(sizes),))


def bag(documents, sizes=SIZES):
    blocks = [db.from_sequence(piece, npartitions=1) for piece in cut(documents, sizes) if piece]
    return db.concat(blocks).map(str)


def futures(documents, executor, sizes=SIZES):
    return [executor.submit(list, piece) for piece in cut(documents, sizes)]


def matrix(result, executor=None):
    """The result as a CSR matrix."""
    if isinstance(result, list):
        blocks = [each.result(60) for each in result]
        return sp.vstack(blocks, format="csr")
    if not sp.issparse(result):
        blocks = [block.compute() for block in result.to_delayed().ravel()]
        result = sp.vstack(blocks, format="csr")
    return result


def check_same(found, expected):
    assert sp.issparse(found) and found.format == "csr"
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.has_sorted_indices
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    expected = expected.sorted_indices()
    np.testing.assert_array_equal(found.indices, expected.indices)
    exact = expected.dtype.kind in "iu"
    tolerance = 0 if exact else 1e-15 if expected.dtype == np.float64 else 1e-7
    np.testing.assert_allclose(found.data, expected.data, rtol=tolerance)


def check_fitted(found, expected):
    assert found.vocabulary_ == expected.vocabulary_
    assert found.fixed_vocabulary_ == expected.fixed_vocabulary_
    assert found.get_feature_names_out().tolist() == expected.get_feature_names_out().tolist()
    if getattr(expected, "use_idf", False):
        np.testing.assert_allclose(found.idf_, expected.idf_, rtol=1e-15)
