"""What partitions of documents are asked: their counts, and what terms they have."""

from __future__ import annotations

import hashlib
import itertools
import pickle
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import cloudpickle
import numpy as np
from sklearn.base import clone

from daskml_exec.executor import bytes_text
from daskml_exec.feature_extraction.text._analysis import analysis_of, quiet, takes_texts
from daskml_exec.feature_extraction.text._documents import documents_of, texts_of
from daskml_exec.kernels.term_counts import (
    TERM_BYTES,
    Analysis,
    Numbers,
    TermCounts,
    Terms,
    TermsOf,
    counted,
    counted_of,
    finished,
    merged,
    numbers_of,
    renumbered,
    terms_nbytes,
)
from daskml_exec.partitions import Block
from daskml_exec.training import Query


@dataclass(frozen=True)
class Reader:
    """Reads documents as a vectorizer says.

    Attributes
    ----------
    pickled : bytes
        The vectorizer, without what it has learned, and the class of scikit-learn's.
    """

    pickled: bytes

    @classmethod
    def of(cls, vectorizer: Any, scikit: type[Any]) -> Self:
        """Return the reader of a vectorizer."""
        return cls(cloudpickle.dumps((clone(vectorizer), scikit)))

    def open(self) -> Reading:
        """Return what reads; once for many documents."""
        vectorizer, scikit = cloudpickle.loads(self.pickled)
        vectorizer = quiet(vectorizer)
        return Reading(vectorizer, analysis_of(vectorizer, scikit))


@dataclass(frozen=True)
class Reading:
    """A vectorizer that reads, and what finds terms in what it has read."""

    vectorizer: Any
    analysis: Analysis

    def documents(self, block: Any, start: int | None, where: str) -> list[Any]:
        """Return the documents of a block, checked."""
        texts = takes_texts(self.vectorizer)
        found = documents_of(block, texts=texts, start=start, where=where)
        return texts_of(found, self.vectorizer.decode) if texts else found


@dataclass(frozen=True)
class Fault:
    """What a partition has in place of counts where its documents are not as they must be.

    Attributes
    ----------
    pickled : bytes
        The error: of several, that of the first partition is raised.
    """

    pickled: bytes

    def error(self) -> Exception:
        """Return the error."""
        error: Exception = cloudpickle.loads(self.pickled)
        return error


@dataclass(frozen=True)
class CountDocuments(Query[TermCounts | Fault]):
    """The counts of a block.

    Attributes
    ----------
    reader : Reader
    room : float or None
        Bytes that a vocabulary may take on a Worker.
    vocabulary : dict or None
        The column of each term, where it is given.
    """

    reader: Reader
    room: float | None = None
    vocabulary: dict[Any, int] | None = None

    def prepare(self) -> Reading:
        return self.reader.open()

    def partial(self, block: Block, prepared: Reading) -> TermCounts | Fault:
        try:
            return self._counted(block, prepared)
        except (ValueError, TypeError) as error:
            error.add_note(f"in partition {block.index} of X")
            return Fault(cloudpickle.dumps(error))

    def _counted(self, block: Block, prepared: Reading) -> TermCounts:
        where, analysis = f"partition {block.index}", prepared.analysis
        documents = prepared.documents(block.X, block.start, where)
        if self.vocabulary is not None:
            numbers = numbers_of(self.vocabulary, analysis)
            n_terms = len(self.vocabulary)
            return TermCounts(counted_of(documents, analysis, numbers, n_terms), None)

        def check(n_terms: int) -> None:
            require_room(n_terms * TERM_BYTES, n_terms, self.room, where)

        return counted(documents, analysis, check)


@dataclass(frozen=True)
class SumTerms(Query[Terms | Fault]):
    """The terms of all partitions that were counted.

    Attributes
    ----------
    terms_of : TermsOf
    room : float or None
        As of `CountDocuments`.
    """

    terms_of: TermsOf
    room: float | None = None

    def partial(self, partition: TermCounts | Fault) -> Terms | Fault:
        return partition if isinstance(partition, Fault) else self.terms_of(partition)

    def combine(self, left: Terms | Fault, right: Terms | Fault) -> Terms | Fault:
        if isinstance(left, Fault):
            return left
        if isinstance(right, Fault):
            return right
        total = merged(left, right)
        if self.room is not None and total.pickled is not None:
            n = len(total.documents)
            if n * TERM_BYTES > self.room / 2:  # letters are counted where it matters
                require_room(terms_nbytes(total.names), n, self.room, "all partitions together")
        return total


@dataclass(frozen=True)
class Finish:
    """Turns counts into what a vectorizer returns.

    Attributes
    ----------
    dtype : dtype
    binary : bool
    weigh : TfidfTransformer or None
        Scikit-learn's, fitted.
    """

    dtype: Any
    binary: bool
    weigh: Any = None

    def __call__(self, counts: Any) -> Any:
        made = finished(counts, self.dtype, binary=self.binary)
        if self.weigh is None:
            return made
        if made.shape[0] == 0:  # which scikit-learn refuses
            return made.astype(self.dtype_out)
        return self.weigh.transform(made, copy=False)

    @property
    def dtype_out(self) -> Any:
        """Of what is returned."""
        kind = np.dtype(self.dtype)
        floats = kind in (np.dtype(np.float32), np.dtype(np.float64))
        return kind if floats or self.weigh is None else np.dtype(np.float64)


@dataclass(frozen=True)
class OfCounts:
    """Returns the matrix of a partition that was counted.

    Attributes
    ----------
    pickled : bytes
        The terms of the columns, in their order: so they travel fast, and nobody on the way opens
        them.
    finish : Finish
    """

    pickled: bytes
    finish: Finish

    @classmethod
    def of(cls, vocabulary: dict[Any, int], finish: Finish) -> Self:
        """Return what makes matrices with the columns of a vocabulary."""
        return cls(pickle.dumps(sorted(vocabulary, key=vocabulary.__getitem__), 5), finish)

    def __call__(self, of: TermCounts) -> Any:
        return self.finish(renumbered(of, self._columns))

    @cached_property
    def _columns(self) -> Numbers:
        return Numbers(zip(pickle.loads(self.pickled), itertools.count(), strict=False))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_columns"}


@dataclass(frozen=True)
class OfDocuments:
    """Returns the matrix of a block of documents."""

    reader: Reader
    vocabulary: dict[Any, int]
    finish: Finish
    where: str = "a block"
    """What it is called in messages."""

    @property
    def __name__(self) -> str:
        return "transform"

    def __call__(self, block: Any) -> Any:
        reading, numbers = self._prepared
        documents = reading.documents(block, None, self.where)
        return self.finish(counted_of(documents, reading.analysis, numbers, len(self.vocabulary)))

    @cached_property
    def _prepared(self) -> tuple[Reading, Numbers]:
        reading = self.reader.open()
        return reading, numbers_of(self.vocabulary, reading.analysis)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_prepared"}

    def __dask_tokenize__(self) -> str:
        # Dask would look at each term.
        return hashlib.sha256(cloudpickle.dumps(self)).hexdigest()


def require_room(nbytes: float, n_terms: int, room: float | None, where: str) -> None:
    """Raise ValueError for a vocabulary that a Worker has no room for."""
    if room is not None and nbytes > room:
        raise ValueError(
            f"the vocabulary of X takes {bytes_text(int(nbytes))} for {n_terms:,} terms in {where},"
            f" and a Worker has room for {bytes_text(int(room))}; allowed are HashingVectorizer, "
            "which keeps no vocabulary, fewer distinct terms (by ngram_range, token_pattern, "
            "preprocessor or stop_words), or Workers with a larger memory_limit. min_df, max_df "
            "and max_features do not help: they choose among terms that were all counted"
        )
