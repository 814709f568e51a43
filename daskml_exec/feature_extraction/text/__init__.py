"""Documents as matrices of terms, over Dask collections and in memory."""

from daskml_exec.feature_extraction.text._count import CountVectorizer
from daskml_exec.feature_extraction.text._hashing import HashingVectorizer
from daskml_exec.feature_extraction.text._saved import VALUES
from daskml_exec.feature_extraction.text._tfidf import TfidfVectorizer
from daskml_exec.feature_extraction.text._weights import TfidfTransformer
from daskml_exec.training import let_save, publish

__all__ = ["CountVectorizer", "HashingVectorizer", "TfidfTransformer", "TfidfVectorizer"]

publish(__name__, __all__)
let_save(
    (CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer),
    states=(),
    values=VALUES,
)
