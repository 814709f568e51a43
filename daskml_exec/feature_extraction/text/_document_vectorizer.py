"""What vectorizers with a vocabulary share: they count once, and scikit-learn does the rest."""

from __future__ import annotations

import warnings
from contextlib import closing
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from daskml_exec.executor import (
    Capacity,
    DriverThreads,
    Executor,
    cluster_is_meant,
    fold,
    workers_now,
)
from daskml_exec.feature_extraction.text._counting import (
    CountDocuments,
    Fault,
    Finish,
    OfCounts,
    OfDocuments,
    Reader,
    SumTerms,
)
from daskml_exec.feature_extraction.text._documents import given_documents
from daskml_exec.feature_extraction.text._saved import MADE_AGAIN
from daskml_exec.kernels.term_counts import Numbers, Terms, TermsOf, renumbered
from daskml_exec.kernels.term_weights import chosen
from daskml_exec.partitions import (
    blocks_in_memory,
    is_collection,
    loaded_safely,
    made_rows,
    map_rows,
    mapped_blocks,
)
from daskml_exec.training import all_or_nothing, reduce


class DocumentVectorizer:
    """Mixin before a vectorizer of scikit-learn, whose parameters and analyzers it has."""

    _scikit: ClassVar[type[Any]]
    """That vectorizer."""
    _made_again: ClassVar[tuple[str, ...]] = MADE_AGAIN
    vocabulary_: dict[Any, int]
    fixed_vocabulary_: bool

    def fit(self, raw_documents: Any, y: Any = None) -> Self:
        """Learn the vocabulary, and what else `transform` needs.

        Parameters
        ----------
        raw_documents : Dask series, bag or 1-d array, list of futures, series, array or list
            Documents: str, or bytes that are decoded as the parameters say. Nothing of them stays
            on Workers.
        y : None
            Not used.

        Returns
        -------
        object
            The same object.

        Raises
        ------
        ValueError
            No term is left, or parameters contradict one another; X is one text, or has more than
            one dimension; a vocabulary has no room on a Worker.
        TypeError
            A document is no text, or X is a dataframe.
        """
        self._learn(raw_documents, keep=False)
        return self

    def fit_transform(self, raw_documents: Any, y: Any = None) -> Any:
        """Learn from documents and return their matrix; each is analysed once.

        Parameters
        ----------
        raw_documents : as in `fit`
            Documents.
        y : None
            Not used.

        Returns
        -------
        CSR matrix of shape (n_documents, n_terms), Dask array of such chunks, or list of futures
            As of `transform`. For a Dask collection its chunks are begun with at once, and stay on
            the Workers for as long as the result lives; numbers of rows are known.

        Raises
        ------
        ValueError, TypeError
            As of `fit`.
        """
        return self._learn(raw_documents, keep=True)

    def transform(self, raw_documents: Any) -> Any:
        """Return the matrix of documents.

        Parameters
        ----------
        raw_documents : as in `fit`
            Documents.

        Returns
        -------
        CSR matrix of shape (n_documents, n_terms), Dask array of such chunks, or list of futures
            For documents in memory a matrix; lazily, a Dask array with the chunks of a Dask array,
            series or bag; a list of futures for such a list.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            There is no vocabulary yet.
        ValueError, TypeError
            As of `fit`; of documents on a cluster, when the result is computed.
        """
        self._require_fitted()
        X = given_documents(raw_documents, type(self).__name__)
        finish = self._finish()
        function = OfDocuments(self._reader(), self.vocabulary_, finish)
        if is_collection(X):
            return map_rows(function, X, meta=self._meta(finish))
        return replace(function, where="X")(X)

    def inverse_transform(self, X: Any) -> Any:
        """Return the terms of each document that it has.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_documents, n_terms)
            In memory.

        Returns
        -------
        list of ndarray of shape (n_terms_of_document,)
            Without how often, in the order of the columns.

        Raises
        ------
        TypeError
            X is on a cluster.
        """
        if is_collection(X):
            raise TypeError(
                f"X is of {type(X).__name__}; inverse_transform returns a list, of what is in "
                "memory: inverse_transform(X.compute())"
            )
        return super().inverse_transform(X)  # type: ignore[misc]

    def to_sklearn(self) -> Any:
        """Return scikit-learn's vectorizer with the same parameters and what was learned.

        Returns
        -------
        object
            Of scikit-learn's class of this name.
        """
        made = self._scikit(**self.get_params())  # type: ignore[attr-defined]
        for name in ("vocabulary_", "fixed_vocabulary_"):
            if name in vars(self):
                setattr(made, name, vars(self)[name])
        return made

    def _require_fitted(self) -> None:
        self._check_vocabulary()  # type: ignore[attr-defined]

    def _check(self) -> None:
        """Check parameters, as scikit-learn does, and warn as it does."""
        vectorizer: Any = self
        vectorizer._validate_params()
        vectorizer._validate_ngram_range()
        vectorizer._warn_for_unused_params()
        vectorizer._validate_vocabulary()
        vectorizer.build_analyzer()  # warns of stop words that cannot be found
        if (
            self.fixed_vocabulary_
            and vectorizer.lowercase
            and any(map(_has_capitals, self.vocabulary_))
        ):
            warnings.warn(
                "Upper case characters found in vocabulary while 'lowercase' is True. These "
                "entries will not be matched with any documents",
                stacklevel=4,
            )

    def _needs_terms(self) -> bool:
        """Whether a fit with a given vocabulary looks at documents."""
        raise NotImplementedError

    def _weigh(self, documents: Any, n_documents: int) -> None:
        """Learn of how many documents have each term."""
        raise NotImplementedError

    def _finish(self) -> Finish:
        """Return what follows on counts."""
        raise NotImplementedError

    def _reader(self) -> Reader:
        return Reader.of(self, self._scikit)

    def _meta(self, finish: Finish) -> Any:
        return sp.csr_matrix((0, len(self.vocabulary_)), dtype=finish.dtype_out)

    def _learn(self, raw_documents: Any, *, keep: bool) -> Any:
        X = given_documents(raw_documents, type(self).__name__)
        with all_or_nothing(self):
            self._check()
            if self.fixed_vocabulary_ and not self._needs_terms():
                return self.transform(X) if keep else None
            if is_collection(X) or cluster_is_meant():
                executor = Executor.current()
                return loaded_safely(executor, lambda: self._on_cluster(executor, X, keep=keep))
            return self._in_memory(X, keep=keep)

    def _queries(self, room: float | None) -> tuple[CountDocuments, SumTerms]:
        vectorizer: Any = self
        vocabulary = self.vocabulary_ if self.fixed_vocabulary_ else None
        limited = vocabulary is None and vectorizer.max_features is not None
        totals = np.dtype(vectorizer.dtype) if limited else None
        terms_of = TermsOf(totals, vectorizer.binary)
        return CountDocuments(self._reader(), room, vocabulary), SumTerms(terms_of, room)

    def _on_cluster(self, executor: Executor, X: Any, *, keep: bool) -> Any:
        room = Capacity.of_workers(workers_now(executor.client).values()).for_data
        count, add = self._queries(room)
        counts = mapped_blocks(executor, X, count)
        rows = self._settle(reduce(add, counts, name="terms"))
        if not keep:
            return None
        of_counts = OfCounts.of(self.vocabulary_, self._finish())
        counts = replace(counts, rows=rows, places=None)
        return made_rows(of_counts, counts, self._meta(of_counts.finish), like=X)

    def _in_memory(self, X: Any, *, keep: bool) -> Any:
        blocks = blocks_in_memory(X)
        count, add = self._queries(None)
        prepared = count.prepare()
        with closing(DriverThreads(len(blocks))) as threads:
            counts = threads.map(lambda block: count.partial(block, prepared), blocks)
            self._settle(fold(list(map(add.partial, counts)), add.combine))
            if not keep:
                return None
            columns, finish = Numbers(self.vocabulary_), self._finish()

            def matrix_of(counted: Any) -> Any:  # there is no fault among them
                return finish(renumbered(counted, columns))

            made = threads.map(matrix_of, counts)
        return made[0] if len(made) == 1 else sp.vstack(made, format="csr")

    def _settle(self, terms: Terms | Fault) -> tuple[int, ...]:
        """Learn from the terms of all documents; return the rows of each partition."""
        if isinstance(terms, Fault):
            raise terms.error()
        vectorizer: Any = self
        documents, n = terms.documents, terms.n_documents
        if not self.fixed_vocabulary_:
            if not len(documents):
                what = "X has no documents" if n == 0 else f"of {n:,} documents none has a term"
                raise ValueError(
                    f"empty vocabulary; perhaps the documents only contain stop words: {what}"
                )
            least, most = (_documents(each, n) for each in (vectorizer.min_df, vectorizer.max_df))
            if most < least:
                raise ValueError(
                    "max_df corresponds to < documents than min_df: of "
                    f"{n:,} documents max_df={vectorizer.max_df!r} is {most:g}, "
                    f"min_df={vectorizer.min_df!r} is {least:g}"
                )
            names, documents = chosen(terms, least=least, most=most, limit=vectorizer.max_features)
            if not names:
                raise ValueError(
                    "After pruning, no terms remain. Try a lower min_df or a higher max_df: of "
                    f"{len(terms.documents):,} terms none is in {least:g} to {most:g} of {n:,}"
                )
            self.vocabulary_ = {name: column for column, name in enumerate(names)}
        self._weigh(documents, n)
        return terms.rows


def _documents(share: float, n_documents: int) -> float:
    return share if isinstance(share, Integral) else share * n_documents


def _has_capitals(term: Any) -> bool:
    return isinstance(term, str) and any(map(str.isupper, term))
