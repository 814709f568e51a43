"""How documents are analysed: by scikit-learn's analyzers, or many at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from daskml_exec.kernels.term_counts import Analysis
from daskml_exec.kernels.words import END, PATTERN, words

_ACCENTS = (None, "ascii", "unicode")
"""What `strip_accents` may be without a change to ASCII texts."""
_BUILDERS = (
    "build_analyzer",
    "build_preprocessor",
    "build_tokenizer",
    "decode",
    "get_stop_words",
    "_word_ngrams",
)


@dataclass(frozen=True)
class Analyzed:
    """Terms by an analyzer of scikit-learn, document by document.

    Attributes
    ----------
    analyze : callable
        Returns the terms of a document.
    """

    analyze: Callable[[Any], Iterable[Any]]
    end: Hashable = field(default_factory=object)

    def __call__(self, documents: Sequence[Any]) -> Iterable[Any]:
        """Return the terms of all documents in order, with the end behind those of each."""
        for document in documents:
            yield from self.analyze(document)
            yield self.end

    def is_term(self, found: Any) -> bool:
        """Return True: what an analyzer returns are terms."""
        return True


@dataclass(frozen=True)
class Words:
    """Words by scikit-learn's default pattern, of many texts at once.

    Attributes
    ----------
    lowercase : bool
    stop_words : frozenset of str
    analyze : callable or None
        Of texts that are not ASCII, where these need more; returns the words of one.
    """

    lowercase: bool
    stop_words: frozenset[str]
    analyze: Callable[[str], Iterable[str]] | None
    end: Hashable = END

    def __call__(self, documents: Sequence[str]) -> Iterable[str]:
        """Return the words of all documents in order, with the end behind those of each."""
        if self.analyze is None:
            return words(documents, lowercase=self.lowercase)
        found: list[str] = []
        for ascii, run in itertools.groupby(documents, str.isascii):
            if ascii:
                found += words(list(run), lowercase=self.lowercase)
                continue
            for document in run:
                found += self.analyze(document)
                found.append(END)
        return found

    def is_term(self, found: str) -> bool:
        """Whether a run of characters is long enough, and no stop word."""
        return len(found) > 1 and found not in self.stop_words


def analysis_of(vectorizer: Any, scikit: type[Any]) -> Analysis:
    """Return how a vectorizer analyses documents.

    Parameters
    ----------
    vectorizer : CountVectorizer
    scikit : type
        Scikit-learn's, whose analyzers are known.
    """
    if not _of_default_words(vectorizer, scikit):
        return Analyzed(vectorizer.build_analyzer())
    stop_words = vectorizer.get_stop_words()
    plain = vectorizer.strip_accents is None
    return Words(
        vectorizer.lowercase,
        frozenset(stop_words or ()),
        None if plain else vectorizer.build_analyzer(),
    )


def takes_texts(vectorizer: Any) -> bool:
    """Whether documents must be texts: functions of the user's may take anything else."""
    return (
        vectorizer.input == "content"
        and not callable(vectorizer.analyzer)
        and vectorizer.preprocessor is None
    )


def quiet(vectorizer: Any) -> Any:
    """Let a vectorizer warn of no stop words: the driver has done so, and Workers need not."""
    vectorizer._stop_words_id = id(vectorizer.stop_words)
    return vectorizer


def _of_default_words(vectorizer: Any, scikit: type[Any]) -> bool:
    kind = type(vectorizer)
    return (
        vectorizer.analyzer == "word"
        and takes_texts(vectorizer)
        and vectorizer.tokenizer is None
        and vectorizer.token_pattern == PATTERN
        and tuple(vectorizer.ngram_range) == (1, 1)
        and vectorizer.strip_accents in _ACCENTS
        and all(getattr(kind, name) is getattr(scikit, name) for name in _BUILDERS)
    )
