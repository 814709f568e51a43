"""Counts of terms, weighted by how few documents have them."""

from typing import Any

from sklearn.feature_extraction import text
from sklearn.utils.validation import check_is_fitted

from daskml_exec.feature_extraction.text._counting import Finish
from daskml_exec.feature_extraction.text._document_vectorizer import DocumentVectorizer
from daskml_exec.kernels.term_weights import inverse_document_frequencies


class TfidfVectorizer(DocumentVectorizer, text.TfidfVectorizer):
    r"""Weigh the terms of documents by how few documents have them, wherever the documents are.

    Of a term with the count c in a document of n, d of which have it, the weight is
    c * (log((1 + n) / (1 + d)) + 1); each document is then divided by the norm of its weights.
    This is scikit-learn's estimator of the same name, with the same numbers, which takes Dask
    collections as well: a `CountVectorizer` and a `TfidfTransformer` in one, whose counts and
    numbers of documents come of one pass over the documents.

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
    analyzer : {"word", "char", "char_wb"} or callable, default="word"
        Of what terms are made; a function returns the terms of a document. Functions travel to
        Workers, as cloudpickle has them.
    stop_words : {"english"}, list or None, default=None
        Words that are left out.
    token_pattern : str or None, default=r"(?u)\b\w\w+\b"
        A regular expression for words.
    ngram_range : tuple of (int, int), default=(1, 1)
        Words, or characters, of a term: the least and the most.
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
    dtype : type, default=numpy.float64
        Of the matrix.
    norm : {"l1", "l2"} or None, default="l2"
        What each document is divided by; None for nothing.
    use_idf : bool, default=True
        Whether the logarithm is a factor.
    smooth_idf : bool, default=True
        Whether the two ones are added, as if one more document had each term.
    sublinear_tf : bool, default=False
        Whether counts c become 1 + log(c) first.

    Attributes
    ----------
    vocabulary_ : dict
        The column of each term; terms are in alphabetical order.
    fixed_vocabulary_ : bool
        Whether the vocabulary was given.
    idf_ : ndarray of shape (n_terms,)
        log((1 + n) / (1 + d)) + 1, where `use_idf`.

    See Also
    --------
    HashingVectorizer : Needs no vocabulary, which each Worker must have room for here.

    Examples
    --------
    >>> import dask.bag as db
    >>> from daskml_exec import Executor
    >>> from daskml_exec.feature_extraction.text import TfidfVectorizer
    >>> documents = db.from_sequence(["a small cat", "a large cat"], npartitions=2)
    >>> with Executor(processes=False, n_workers=1):
    ...     TfidfVectorizer().fit_transform(documents).compute().toarray().round(2)
    array([[0.58, 0.  , 0.81],
           [0.58, 0.81, 0.  ]])
    """

    _scikit = text.TfidfVectorizer
    _tfidf: Any
    """Scikit-learn's TfidfTransformer."""

    def to_sklearn(self) -> Any:
        """Return scikit-learn's vectorizer with the same parameters and what was learned.

        Returns
        -------
        sklearn.feature_extraction.text.TfidfVectorizer
            Fitted, if this is.
        """
        made = super().to_sklearn()
        if "_tfidf" in vars(self):
            made._tfidf = self._tfidf
        return made

    def _check(self) -> None:
        self._check_params()
        super()._check()

    def _require_fitted(self) -> None:
        check_is_fitted(self, msg="The TF-IDF vectorizer is not fitted")
        super()._require_fitted()

    def _needs_terms(self) -> bool:
        return True

    def _weigh(self, documents: Any, n_documents: int) -> None:
        self._tfidf = text.TfidfTransformer(
            norm=self.norm,
            use_idf=self.use_idf,
            smooth_idf=self.smooth_idf,
            sublinear_tf=self.sublinear_tf,
        )
        self._tfidf.n_features_in_ = len(documents)
        if self.use_idf:
            dtype = Finish(self.dtype, self.binary, self._tfidf).dtype_out
            self._tfidf.idf_ = inverse_document_frequencies(
                documents, n_documents, smooth=self.smooth_idf, dtype=dtype
            )

    def _finish(self) -> Finish:
        return Finish(self.dtype, self.binary, self._tfidf)
