"""Counts of hashed terms, for which nothing is learned."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import cloudpickle
import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.feature_extraction import text

from daskml_exec.feature_extraction.text._analysis import quiet, takes_texts
from daskml_exec.feature_extraction.text._documents import documents_of, given_documents
from daskml_exec.feature_extraction.text._saved import MADE_AGAIN
from daskml_exec.partitions import is_collection, map_rows


@dataclass(frozen=True)
class HashDocuments:
    """Returns the matrix of a block of documents.

    Attributes
    ----------
    pickled : bytes
        Scikit-learn's vectorizer.
    """

    pickled: bytes
    where: str = "a block"
    """What it is called in messages."""

    @property
    def __name__(self) -> str:
        return "hashed"

    @cached_property
    def _vectorizer(self) -> Any:
        return quiet(cloudpickle.loads(self.pickled))

    def __call__(self, block: Any) -> Any:
        vectorizer = self._vectorizer
        texts = takes_texts(vectorizer)
        documents = documents_of(block, texts=texts, start=None, where=self.where)
        if not documents:  # which scikit-learn refuses
            return empty(vectorizer)
        return vectorizer.transform(documents)

    def __getstate__(self) -> dict[str, Any]:
        return {"pickled": self.pickled, "where": self.where}

    def __dask_tokenize__(self) -> str:
        return hashlib.sha256(self.pickled).hexdigest()


def empty(vectorizer: Any) -> Any:
    """Return what a vectorizer returns for no documents."""
    return sp.csr_matrix((0, vectorizer.n_features), dtype=np.dtype(vectorizer.dtype))


class HashingVectorizer(text.HashingVectorizer):
    r"""Count terms of documents in columns that are hashes of the terms, wherever documents are.

    The column of a term is its hash modulo `n_features`, so that there is no vocabulary to learn,
    none in memory, and nothing to fit: `transform` is lazy and costs one pass. Terms of the same
    column are counted together, and there is no way back from columns to terms. This is
    scikit-learn's estimator of the same name, with the same numbers, which takes Dask collections
    as well.

    Parameters
    ----------
    input : {"filename", "file", "content"}, default="content"
        What a document is: the name of a file that Workers can read, an open file, or the text.
    encoding : str, default="utf-8"
        Of documents that are bytes.
    decode_error : {"strict", "ignore", "replace"}, default="strict"
        What happens to bytes that are not of that encoding.
    strip_accents : {"ascii", "unicode"} or callable, default=None
        How accents are removed.
    lowercase : bool, default=True
        Whether upper-case letters become lower-case ones first.
    preprocessor : callable, default=None
        Takes the place of these two.
    tokenizer : callable, default=None
        Takes the place of `token_pattern`.
    stop_words : {"english"} or list, default=None
        Words that are left out.
    token_pattern : str or None, default=r"(?u)\b\w\w+\b"
        A regular expression for words.
    ngram_range : tuple of (int, int), default=(1, 1)
        Words, or characters, of a term: the least and the most.
    analyzer : {"word", "char", "char_wb"} or callable, default="word"
        Of what terms are made; a function returns the terms of a document.
    n_features : int, default=2**20
        Columns.
    binary : bool, default=False
        Whether ones stand for all counts.
    norm : {"l1", "l2"} or None, default="l2"
        What each document is divided by; None for nothing.
    alternate_sign : bool, default=True
        Whether half of the terms count as negative, so that terms of one column cancel out in the
        mean.
    dtype : type, default=numpy.float64
        Of the matrix.

    See Also
    --------
    CountVectorizer : Has a vocabulary.

    Examples
    --------
    >>> import dask.bag as db
    >>> from daskml_exec import Executor
    >>> from daskml_exec.feature_extraction.text import HashingVectorizer
    >>> documents = db.from_sequence(["a small cat", "a large dog"], npartitions=2)
    >>> with Executor(processes=False, n_workers=1):
    ...     HashingVectorizer(n_features=2**10).transform(documents).compute().shape
    (2, 1024)
    """

    _made_again: ClassVar[tuple[str, ...]] = MADE_AGAIN

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters: there is nothing to learn.

        Parameters
        ----------
        X : Dask series, bag or 1-d array, list of futures, series, array or list
            Documents, which are not looked at.
        y : None
            Not used.

        Returns
        -------
        HashingVectorizer
            The same object.

        Raises
        ------
        ValueError, TypeError
            X is one text, a dataframe, or has more than one dimension.
        """
        self._validate_params()
        given_documents(X, type(self).__name__)
        self._warn_for_unused_params()
        self._validate_ngram_range()
        return self

    def transform(self, X: Any) -> Any:
        """Return the matrix of documents.

        Parameters
        ----------
        X : as in `fit`
            Documents: str, or bytes that are decoded as the parameters say.

        Returns
        -------
        CSR matrix of shape (n_documents, n_features), Dask array of such chunks, or list of futures
            For documents in memory a matrix; lazily, a Dask array with the chunks of a Dask array,
            series or bag; a list of futures for such a list.

        Raises
        ------
        ValueError, TypeError
            As of `fit`, and a document is no text; of documents on a cluster, when the result is
            computed.
        """
        self._validate_ngram_range()
        X = given_documents(X, type(self).__name__)
        self.build_analyzer()  # warns of stop words that cannot be found
        pickled = cloudpickle.dumps(clone(self.to_sklearn()))
        if is_collection(X):
            return map_rows(HashDocuments(pickled), X, meta=empty(self))
        return HashDocuments(pickled, "X")(X)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Return the matrix of documents, as `transform` does.

        Parameters
        ----------
        X : as in `fit`
            Documents.
        y : None
            Not used.

        Returns
        -------
        CSR matrix of shape (n_documents, n_features), Dask array of such chunks, or list of futures
            As of `transform`.
        """
        X = given_documents(X, type(self).__name__)  # what can be gone through once is a list then
        return self.fit(X, y).transform(X)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters, as `fit` does.

        Parameters
        ----------
        X : as in `fit`
            Documents, which are not looked at.
        y : None
            Not used.

        Returns
        -------
        HashingVectorizer
            The same object.
        """
        return self.fit(X, y)

    def to_sklearn(self) -> Any:
        """Return scikit-learn's vectorizer with the same parameters.

        Returns
        -------
        sklearn.feature_extraction.text.HashingVectorizer
            The same numbers, without Dask.
        """
        return text.HashingVectorizer(**self.get_params())
