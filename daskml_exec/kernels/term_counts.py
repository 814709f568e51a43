"""Terms of documents: their counts as a CSR matrix, and how often each is found in all of them."""

from __future__ import annotations

import itertools
import pickle
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

Term = Any
"""What an analyzer returns: text, as a rule, or else what can be hashed."""

TERM_BYTES = 170
"""About what a term takes beside its letters: the text's object, a place in a dict, its number."""

# Documents of which the terms are in memory at once, before they are numbers.
_BLOCK = 1000
_END, _UNKNOWN = -2, -1


class Analysis(Protocol):
    """Finds the terms of documents."""

    @property
    def end(self) -> Hashable:
        """Stands behind the terms of each document; no term is equal to it."""

    def __call__(self, documents: Sequence[Any]) -> Iterable[Term]:
        """Return the terms of all documents in order, with the end behind those of each."""

    def is_term(self, found: Term) -> bool:
        """Whether this, which was returned, is a term."""


class Numbers(dict[Any, int]):
    """The number of each term of a vocabulary, and that of no term for all others."""

    def __missing__(self, term: Any) -> int:
        return _UNKNOWN


class TermCounts:
    """How often each document has each term.

    Attributes
    ----------
    counts : CSR matrix of shape (n_documents, n_terms), intc
        Canonical.
    terms : list or None
        Of the columns, each once, in any order; None where the vocabulary was given.
    """

    __slots__ = ("counts", "nbytes", "terms")

    def __init__(self, counts: Any, terms: list[Term] | None) -> None:
        self.counts, self.terms = counts, terms
        self.nbytes = terms_nbytes(terms or ()) + sum(
            array.nbytes for array in (counts.data, counts.indices, counts.indptr)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Documents and terms."""
        shape: tuple[int, int] = self.counts.shape
        return shape

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes

    def __reduce__(self) -> Any:
        return TermCounts, (self.counts, self.terms)


def terms_nbytes(terms: Sequence[Term]) -> int:
    """Return about how many bytes a vocabulary takes.

    Examples
    --------
    >>> terms_nbytes(["one", "two"])
    346
    """
    letters = sum(map(len, terms)) if set(map(type, terms)) == {str} else 0
    return letters + TERM_BYTES * len(terms)


def counted(
    documents: Sequence[Any], analysis: Analysis, check: Callable[[int], None]
) -> TermCounts:
    """Return the counts of documents, with a vocabulary of their own.

    Parameters
    ----------
    documents : sequence
    analysis : Analysis
    check : callable
        Is told now and then how many terms there are, and raises where these are too many.
    """
    numbers: defaultdict[Any, int] = defaultdict(itertools.count().__next__, {analysis.end: _END})
    found = _numbers_of(documents, analysis, numbers, check)
    del numbers[analysis.end]
    terms = list(numbers)
    is_term = np.fromiter(map(analysis.is_term, terms), dtype=bool, count=len(terms))
    if not is_term.all():
        renumbered = np.where(is_term, np.cumsum(is_term) - 1, _UNKNOWN)
        # Behind the numbers of terms stand those of no term and of the end.
        found = np.append(renumbered, [_END, _UNKNOWN]).astype(np.int32)[found]
        terms = list(itertools.compress(terms, is_term))
    return TermCounts(_matrix(found, len(terms)), terms)


def numbers_of(vocabulary: dict[Any, int], analysis: Analysis) -> Numbers:
    """Return the columns of the terms that can be found, and the number of the end.

    Parameters
    ----------
    vocabulary : dict
        The column of each term.
    analysis : Analysis
    """
    numbers = Numbers(vocabulary)
    for term in [term for term in vocabulary if not analysis.is_term(term)]:
        del numbers[term]
    numbers[analysis.end] = _END
    return numbers


def counted_of(documents: Sequence[Any], analysis: Analysis, numbers: Numbers, n_terms: int) -> Any:
    """Return the counts of documents of given terms, as a canonical CSR matrix.

    Parameters
    ----------
    documents : sequence
    analysis : Analysis
    numbers : Numbers
        What `numbers_of` returned.
    n_terms : int
        Columns.
    """
    return _matrix(_numbers_of(documents, analysis, numbers, _any_number), n_terms)


def renumbered(of: TermCounts, vocabulary: Numbers) -> Any:
    """Return counts with the columns of a vocabulary, as a canonical CSR matrix.

    Examples
    --------
    >>> of = TermCounts(sp.csr_matrix(np.array([[1, 2]], dtype=np.intc)), ["on", "by"])
    >>> renumbered(of, Numbers({"by": 0, "to": 1})).toarray()
    array([[2, 0]], dtype=int32)
    """
    counts, terms = of.counts, of.terms
    if terms is None:
        return counts
    columns = np.fromiter(map(vocabulary.__getitem__, terms), dtype=np.int32, count=len(terms))
    indices = columns[counts.indices]
    data, indptr, known = counts.data, counts.indptr, indices >= 0
    if not known.all():
        indptr = np.concatenate([[0], np.cumsum(known)])[indptr].astype(indptr.dtype)
        indices, data = indices[known], data[known]
    made = sp.csr_matrix((data.copy(), indices, indptr), shape=(of.shape[0], len(vocabulary)))
    made.sum_duplicates()
    return made


def _numbers_of(
    documents: Sequence[Any],
    analysis: Analysis,
    numbers: dict[Any, int],
    check: Callable[[int], None],
) -> NDArray[np.int32]:
    """Return the numbers of all terms, with that of the end behind those of each document."""
    found = [np.empty(0, dtype=np.int32)]
    for start in range(0, len(documents), _BLOCK):
        terms = analysis(documents[start : start + _BLOCK])
        found.append(np.fromiter(map(numbers.__getitem__, terms), dtype=np.int32))
        check(len(numbers))
    return np.concatenate(found)


def _any_number(n_terms: int) -> None:
    """Allow any number of terms."""


def _matrix(found: NDArray[np.int32], n_terms: int) -> Any:
    known = found >= 0
    ends = np.cumsum(known)[found == _END]
    indptr = np.concatenate([[0], ends])
    indices = found[known]
    counts = sp.csr_matrix(
        (np.ones(len(indices), dtype=np.intc), indices, indptr), shape=(len(ends), n_terms)
    )
    counts.sum_duplicates()
    return counts


@dataclass(frozen=True)
class Terms:
    """How often terms are found: sums, which `merged` adds up.

    Attributes
    ----------
    rows : tuple of int
        Documents of each partition.
    documents : ndarray of shape (n_terms,), int64
        That have each term.
    pickled : bytes or None
        The terms, a list with each once, in any order; None where the vocabulary was given. As
        they travel: nobody on the way is to look at each.
    totals : ndarray of shape (n_terms,) or None
        How often each is found, where that was asked for.
    """

    rows: tuple[int, ...]
    documents: NDArray[np.int64]
    pickled: bytes | None
    totals: NDArray[Any] | None = None

    @property
    def n_documents(self) -> int:
        """Of all partitions."""
        return sum(self.rows)

    @property
    def names(self) -> list[Term]:
        """The terms; none where the vocabulary was given."""
        found: list[Term] = [] if self.pickled is None else pickle.loads(self.pickled)
        return found


@dataclass(frozen=True)
class TermsOf:
    """Returns the `Terms` of counts.

    Attributes
    ----------
    totals : dtype or None
        Of the counts that totals are asked of.
    binary : bool
        Whether a document counts as one, however often it has a term.
    """

    totals: DTypeLike | None = None
    binary: bool = False

    def __call__(self, of: TermCounts) -> Terms:
        """Return what is known of the documents that were counted."""
        n, n_terms = of.shape
        documents = np.bincount(of.counts.indices, minlength=n_terms).astype(np.int64)
        totals = None
        if self.totals is not None:
            values = finished(of.counts, self.totals, binary=self.binary)
            totals = np.asarray(values.sum(axis=0)).ravel()
        pickled = None if of.terms is None else pickle.dumps(of.terms, protocol=5)
        return Terms((n,), documents, pickled, totals)


def finished(counts: Any, dtype: DTypeLike, *, binary: bool) -> Any:
    """Return counts in a dtype, or ones in their place."""
    made = counts.astype(dtype)
    if binary:
        made.data.fill(1)
    return made


def merged(left: Terms, right: Terms) -> Terms:
    """Return what is known of the documents of both.

    Examples
    --------
    >>> parts = [
    ...     Terms((2,), np.array([2, 1]), pickle.dumps(names)) for names in (["a", "b"], ["b", "c"])
    ... ]
    >>> both = merged(*parts)
    >>> both.rows, both.names, both.documents
    ((2, 2), ['a', 'b', 'c'], array([2, 3, 1]))
    """
    rows = left.rows + right.rows
    if left.pickled is None or right.pickled is None:
        totals = None if left.totals is None else left.totals + right.totals
        return Terms(rows, left.documents + right.documents, None, totals)
    names, others = left.names, right.names
    first = len(names)
    numbers = defaultdict(itertools.count(first).__next__, zip(names, range(first), strict=True))
    places = np.fromiter(map(numbers.__getitem__, others), dtype=np.intp, count=len(others))

    def added(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        total = np.zeros(len(numbers), dtype=one.dtype)
        total[:first] = one
        total[places] += other
        return total

    totals = None
    if left.totals is not None and right.totals is not None:
        totals = added(left.totals, right.totals)
    pickled = pickle.dumps(list(numbers), protocol=5)
    return Terms(rows, added(left.documents, right.documents), pickled, totals)
