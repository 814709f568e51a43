"""A fit as the questions that it asks, of rows of its own or of those that others ask, too."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from daskml_exec.executor._raised import Raised, original
from daskml_exec.partitions import ColumnError, ColumnTypeError
from daskml_exec.preprocessing._parts import Guarded
from daskml_exec.training import Query, reduce

A = TypeVar("A")

Questions: TypeAlias = Generator[Query[Any], Any, A]
"""Yields queries, is sent their answers, and returns what is made of these."""


@dataclass(frozen=True)
class Columns:
    """What a fit knows of its rows before it asks them.

    Attributes
    ----------
    rows : tuple of int
        Of each partition.
    n_features : int
    feature_names : tuple of str, or None
    form : TargetForm
        How weights were changed.
    """

    rows: tuple[int, ...]
    n_features: int
    feature_names: tuple[str, ...] | None
    form: Any


def ask_once(query: Query[A]) -> Questions[A]:
    """Ask one question; its answer is all that is wanted."""
    answer: A = yield query
    return answer


def answered(questions: Questions[A], data: Any, name: str) -> A:
    """Return what is made of the answers to all questions, each of which is a reduction.

    Parameters
    ----------
    questions : generator
    data : Partitions or Pieces
    name : str
        What tasks are called.
    """
    try:
        query = next(questions)
        while True:
            answer = reduce(Guarded(query), data, name=name)
            raised = isinstance(answer, Raised)
            query = questions.throw(original(answer)) if raised else questions.send(answer)
    except StopIteration as end:
        found: A = end.value
        return found
    except (ColumnError, ColumnTypeError) as error:
        raise error.named(data.feature_names) from None
