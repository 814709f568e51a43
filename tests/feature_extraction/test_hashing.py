"""HashingVectorizer: scikit-learn's matrix, lazily."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction import text as scikit

from daskml_exec.feature_extraction.text import HashingVectorizer
from tests.feature_extraction.test_vectorizers import KINDS
from tests.feature_extraction.toolbox import DOCUMENTS, array, check_same, matrix, tokens_of

PARAMETERS = {
    "defaults": {},
    "n-grams": {"ngram_range": (1, 2), "stop_words": "english"},
    "characters": {"analyzer": "char", "norm": "l1"},
    "own": {"analyzer": tokens_of, "binary": True, "norm": None},
    "lambda": {"tokenizer": lambda text: text.split(), "token_pattern": None},
    "dtype": {"dtype": np.float32, "alternate_sign": False, "strip_accents": "unicode"},
}


@pytest.mark.filterwarnings("ignore:The parameter")
@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(executor, name):
    parameters = {"n_features": 128, **PARAMETERS[name]}
    expected = scikit.HashingVectorizer(**parameters).transform(DOCUMENTS)
    for X in (DOCUMENTS, array(DOCUMENTS)):
        ours = HashingVectorizer(**parameters)
        check_same(matrix(ours.transform(X)), expected)
        check_same(matrix(clone(ours).fit_transform(X)), expected)
    check_same(ours.to_sklearn().transform(DOCUMENTS), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(executor, kind):
    expected = scikit.HashingVectorizer(n_features=64).transform(DOCUMENTS)
    found = HashingVectorizer(n_features=64).transform(KINDS[kind](executor))
    check_same(matrix(found), expected)


def test_what_can_be_gone_through_once(executor):
    expected = scikit.HashingVectorizer(n_features=64).transform(DOCUMENTS)
    check_same(HashingVectorizer(n_features=64).fit_transform(iter(DOCUMENTS)), expected)


def test_nothing_is_computed_before_it_is_asked_for(executor):
    def analyzer(document):
        raise KeyError(document)

    lazy = HashingVectorizer(analyzer=analyzer, n_features=64).fit_transform(array(DOCUMENTS))
    assert lazy.chunks == ((0, 7, 1, 16), (64,))
    with pytest.raises(KeyError):
        lazy.compute()


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="n_features"):
        HashingVectorizer(n_features=0).fit(DOCUMENTS)
    assert HashingVectorizer().partial_fit(DOCUMENTS).fit(DOCUMENTS).get_params()["norm"] == "l2"
