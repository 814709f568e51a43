"""Counts of terms."""

from __future__ import annotations

from typing import Any

from sklearn.feature_extraction import text

from daskml_exec.feature_extraction.text._counting import Finish
from daskml_exec.feature_extraction.text._document_vectorizer import DocumentVectorizer


class CountVectorizer(DocumentVectorizer, text.CountVectorizer):
    _scikit = text.CountVectorizer

    def _needs_terms(self) -> bool:
        return False

    def _weigh(self, documents: Any, n_documents: int) -> None:
        pass

    def _finish(self) -> Finish:
        return Finish(self.dtype, self.binary)
