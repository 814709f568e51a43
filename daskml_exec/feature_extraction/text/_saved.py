"""What files hold of vectorizers in forms of their own: many terms, weights, sets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.feature_extraction import text

from daskml_exec.training import Adapter

MADE_AGAIN = ("_stop_words_id",)
"""Where in this process stop words are that scikit-learn has warned of: no part of a model."""
_CODEC = {"encoding": "utf-8", "errors": "surrogatepass"}
_WEIGHTS = ("idf_", "n_features_in_", "feature_names_in_")


def _is_vocabulary(value: Any) -> bool:
    return (
        type(value) is dict
        and set(map(type, value)) == {str}
        and set(map(type, value.values())) == {int}
        and list(value.values()) == list(range(len(value)))
    )


def _letters(vocabulary: dict[str, int]) -> dict[str, Any]:
    """Return the terms in the order of their columns: JSON has no room for millions."""
    terms = [term.encode(**_CODEC) for term in vocabulary]
    return {
        "letters": np.frombuffer(b"".join(terms), np.uint8),
        "lengths": np.array(list(map(len, terms)), np.uint32),
    }


def _vocabulary(parts: Any) -> dict[str, int]:
    if not (isinstance(parts, dict) and set(parts) == {"letters", "lengths"}):
        raise ValueError("these are not the parts of a vocabulary")
    letters, lengths = parts["letters"], parts["lengths"]
    if not (
        all(isinstance(each, np.ndarray) and each.ndim == 1 for each in (letters, lengths))
        and (letters.dtype, lengths.dtype) == (np.uint8, np.uint32)
        and lengths.sum(dtype=np.int64) == len(letters)
    ):
        raise ValueError("these are no letters of terms, or not their lengths")
    data, ends = letters.tobytes(), np.cumsum(lengths, dtype=np.int64).tolist()
    terms = [data[start:end].decode(**_CODEC) for start, end in pairwise([0, *ends])]
    found = {term: column for column, term in enumerate(terms)}
    if len(found) != len(terms):
        raise ValueError("a vocabulary has a term twice")
    return found


def _parts_of_weights(transformer: Any) -> dict[str, Any]:
    learned = {name: vars(transformer)[name] for name in _WEIGHTS if name in vars(transformer)}
    return {"parameters": transformer.get_params(), "learned": learned}


def _weights(parts: Any) -> Any:
    if not (
        isinstance(parts, dict)
        and set(parts) == {"parameters", "learned"}
        and set(parts["parameters"]) <= set(text.TfidfTransformer().get_params())
        and set(parts["learned"]) <= set(_WEIGHTS)
    ):
        raise ValueError("these are not the parts of a TfidfTransformer")
    made = text.TfidfTransformer(**parts["parameters"])
    vars(made).update(parts["learned"])
    return made


def _set(parts: Any) -> set[Any]:
    if not isinstance(parts, tuple):
        raise ValueError("these are not the members of a set")
    try:
        return set(parts)
    except TypeError as error:
        raise ValueError(f"no set: {error}") from error


VALUES = (
    Adapter(
        tag="vocabulary",
        kind="dicts of terms to columns",
        takes=_is_vocabulary,
        parts=_letters,
        whole=_vocabulary,
    ),
    Adapter(
        tag="tfidf",
        kind="scikit-learn's TfidfTransformer",
        takes=lambda value: type(value) is text.TfidfTransformer,
        parts=_parts_of_weights,
        whole=_weights,
    ),
    Adapter(
        tag="set",
        kind="sets",
        takes=lambda value: type(value) is set,
        parts=lambda value: tuple(sorted(value, key=repr)),
        whole=_set,
    ),
)
"""In the order in which they are asked."""
