"""What `train` and `reduce` are given by mistake; looked for once per fit, or class of query."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from daskml_exec.executor import Carrying, Query, require_query
from daskml_exec.partitions import Grid, Partitions, Pieces
from daskml_exec.training._state_trees import is_frozen
from daskml_exec.training.groups._segment import Segment


def refuse_algorithm(algorithm: Any) -> None:
    """Raise TypeError unless this can be asked and told."""
    if isinstance(algorithm, type):
        raise TypeError(
            f"algorithm is the class {algorithm.__name__}; allowed are its instances: "
            f"{algorithm.__name__}(...)"
        )
    missing = [name for name in ("ask", "tell") if not callable(getattr(algorithm, name, None))]
    if missing:
        raise TypeError(
            f"algorithm is a {type(algorithm).__name__}, without the method "
            f"{' and '.join(missing)}; allowed is what has ask(state) and "
            "tell(state, query, answer)"
        )


def refuse_callbacks(callbacks: Any) -> None:
    """Raise TypeError unless these are functions of an event, in a sequence."""
    if not isinstance(callbacks, Sequence):
        raise TypeError(
            f"callbacks is a {type(callbacks).__name__}; allowed is a list of functions of a "
            "RoundEvent"
        )
    for callback in callbacks:
        if not callable(callback) or isinstance(callback, type):
            raise TypeError(
                f"callbacks has {callback!r}; allowed are functions of a RoundEvent, and objects "
                "that can be called with one"
            )


def refuse_data(data: Any) -> None:
    """Raise TypeError unless this is data that was loaded."""
    if not isinstance(data, Partitions | Grid | Pieces):
        raise TypeError(
            f"data is a {type(data).__name__}; allowed is what `load` returns, the rows on "
            "the cluster"
        )


def refuse_query(query: Any) -> None:
    """Raise TypeError unless this is what partitions, or peers, can be asked."""
    if not isinstance(query, Segment):
        require_query(query, Query, Carrying)
    kind: Any = type(query)
    _require_frozen(kind)
    if not isinstance(query.step, str):
        raise TypeError(
            f"the query {kind.__name__} has a `step` that is a {type(query.step).__name__}; "
            "allowed is a word for the history: give a field of that name another one"
        )


@lru_cache
def _require_frozen(kind: type[Any]) -> None:
    if not is_frozen(kind):
        raise TypeError(
            f"the query {kind.__name__} is no frozen dataclass: put @dataclass(frozen=True) above "
            "its class, for what travels are its fields"
        )
