"""Vocabularies that Workers have no room for are refused, with what helps."""

import pytest

from daskml_exec.executor import workers_now
from daskml_exec.feature_extraction.text import (
    CountVectorizer,
    HashingVectorizer,
    TfidfVectorizer,
    _document_vectorizer,
)
from daskml_exec.kernels.term_counts import TERM_BYTES
from tests.feature_extraction.toolbox import array

LIMIT = 4_000_000
"""Bytes of a Worker: its share of data is room for some 7,000 terms."""
N = int(0.3 * LIMIT / TERM_BYTES)


def documents(first, n, per_document=50):
    return [
        " ".join(f"w{term}" for term in range(start, start + per_document))
        for start in range(first, first + n, per_document)
    ]


@pytest.fixture
def small(executor, monkeypatch):
    """A Worker in this process that was so small would stop for what else is in the process."""
    told = workers_now(executor.client)
    limited = {address: {**each, "memory_limit": LIMIT} for address, each in told.items()}
    monkeypatch.setattr(_document_vectorizer, "workers_now", lambda client: limited)


@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer])
@pytest.mark.parametrize("limit", [None, 10])
def test_of_one_partition(small, kind, limit):
    texts = documents(0, 5 * N // 2)
    X = array(texts, (len(texts),))
    message = r"the vocabulary of X takes .* terms in partition 0.*HashingVectorizer.*max_features"
    for method in ("fit", "fit_transform"):
        with pytest.raises(ValueError, match=message):
            getattr(kind(max_features=limit), method)(X)
    assert HashingVectorizer(n_features=64).transform(X).compute().shape == (len(texts), 64)


def test_of_all_partitions_together(small):
    some, others = documents(0, 2 * N // 3), documents(N, 2 * N // 3)
    X = array(some + others, (len(some), len(others)))
    with pytest.raises(ValueError, match=r"for .* terms in all partitions together"):
        CountVectorizer().fit(X)
    # Partitions of the same terms need no more room than one.
    X = array(some + some, (len(some), len(some)))
    assert len(CountVectorizer().fit(X).vocabulary_) == len(some) * 50


def test_in_memory_there_is_no_limit():
    texts = documents(0, 2 * N)
    assert len(CountVectorizer().fit(texts).vocabulary_) == len(texts) * 50
