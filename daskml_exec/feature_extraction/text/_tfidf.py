"""Counts of terms, weighted by how few documents have them."""

from __future__ import annotations

from typing import Any

from sklearn.feature_extraction import text
from sklearn.utils.validation import check_is_fitted

from daskml_exec.feature_extraction.text._counting import Finish
from daskml_exec.feature_extraction.text._document_vectorizer import DocumentVectorizer
from daskml_exec.kernels.term_weights import inverse_document_frequencies


class TfidfVectorizer(DocumentVectorizer, text.TfidfVectorizer):
    _scikit = text.TfidfVectorizer

    def to_sklearn(self) -> Any:
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
