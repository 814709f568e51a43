"""Counts of terms."""

from __future__ import annotations

from typing import Any

from sklearn.feature_extraction import text

from daskml_exec.feature_extraction.text._counting import Finish
from daskml_exec.feature_extraction.text._document_vectorizer import DocumentVectorizer


class CountVectorizer(DocumentVectorizer, text.CountVectorizer):
    r"""Count the terms of documents, wherever the documents are.

    This is scikit-learn's estimator of the same name, with the same numbers, which takes Dask
    collections as well. Each partition counts its own terms, its vocabulary and its sums travel,
    and `fit_transform` analyses each document once: the counts stay on their Workers, and get the
    columns of the common vocabulary when the result is computed. The result does not depend on
    partitions or Workers.

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
    stop_words : {"english"}, list or None, default=None
        Words that are left out.
    token_pattern : str or None, default=r"(?u)\b\w\w+\b"
        A regular expression for words.
    ngram_range : tuple of (int, int), default=(1, 1)
        Words, or characters, of a term: the least and the most.
    analyzer : {"word", "char", "char_wb"} or callable, default="word"
        Of what terms are made; a function returns the terms of a document. Functions travel to
        Workers, as cloudpickle has them.
    max_df : float or int, default=1.0
        Documents that may have a term: a share, or their number. Terms of more are left out.
    min_df : float or int, default=1
        Documents that must have a term.
    max_features : int or None, default=None
        Of so many of these terms, the most frequent ones are kept. All are counted first.
    vocabulary : mapping, iterable or None, default=None
        The terms, where these are known: with the column of each, or in the order of the columns.
    binary : bool, default=False
        Whether ones stand for all counts.
    dtype : type, default=numpy.int64
        Of the matrix.

    Attributes
    ----------
    vocabulary_ : dict
        The column of each term; terms are in alphabetical order.
    fixed_vocabulary_ : bool
        Whether the vocabulary was given.

    See Also
    --------
    HashingVectorizer : Needs no vocabulary, which each Worker must have room for here.
    TfidfVectorizer : Weighs the counts.

    Examples
    --------
    >>> import dask.bag as db
    >>> from daskml_exec import Executor
    >>> from daskml_exec.feature_extraction.text import CountVectorizer
    >>> documents = db.from_sequence(["a small cat", "a large cat"], npartitions=2)
    >>> with Executor(processes=False, n_workers=1):
    ...     vectorizer = CountVectorizer()
    ...     counts = vectorizer.fit_transform(documents)
    ...     counts.compute().toarray()
    array([[1, 0, 1],
           [1, 1, 0]])
    >>> vectorizer.get_feature_names_out()
    array(['cat', 'large', 'small'], dtype=object)
    """

    _scikit = text.CountVectorizer

    def _needs_terms(self) -> bool:
        return False

    def _weigh(self, documents: Any, n_documents: int) -> None:
        pass

    def _finish(self) -> Finish:
        return Finish(self.dtype, self.binary)
