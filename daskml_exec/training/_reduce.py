"""Ask once: scalers, scores, counts."""

from contextlib import closing
from typing import Any, TypeVar

from daskml_exec.executor import Query, single_threaded_blas
from daskml_exec.partitions import ColumnError, ColumnTypeError
from daskml_exec.training._choose_answerer import answerer_for, on_cluster
from daskml_exec.training._refusals import refuse_query

A = TypeVar("A")


def reduce(query: Query[A], data: Any, *, name: str | None = None) -> A:
    """Return the answer of all partitions to one query.

    Parameters
    ----------
    query : Query
    data : Data
    name : str, optional
        What tasks are called; by default as the query.

    Returns
    -------
    object
        The partitions' answers, combined in the fixed tree.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from daskml_exec.training import Query
    >>> @dataclass(frozen=True)
    ... class Rows(Query):
    ...     def partial(self, partition):
    ...         return partition.X.shape[0]
    """
    refuse_query(query)
    with single_threaded_blas(), closing(answerer_for(data, name or query.step)) as answerer:
        try:
            return answerer.answer(query).answer
        except (ColumnError, ColumnTypeError) as error:
            raise error.named(on_cluster(data).feature_names) from None
