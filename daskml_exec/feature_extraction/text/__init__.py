"""Documents as matrices of terms, over Dask collections and in memory."""

from daskml_exec.feature_extraction.text._count import CountVectorizer
from daskml_exec.feature_extraction.text._hashing import HashingVectorizer
from daskml_exec.feature_extraction.text._tfidf import TfidfVectorizer
from daskml_exec.feature_extraction.text._weights import TfidfTransformer
from daskml_exec.training import publish

__all__ = ["CountVectorizer", "HashingVectorizer", "TfidfTransformer", "TfidfVectorizer"]

publish(__name__, __all__)
