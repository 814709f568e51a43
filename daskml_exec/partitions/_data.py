"""Data on a cluster, loaded once and trained on many times."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from distributed import Client

from daskml_exec.executor import (
    Executor,
    Facts,
    LostPartitionError,
    Query,
    as_dask_futures,
    bytes_text,
    require_query,
)
from daskml_exec.executor._connection import scheduler_address
from daskml_exec.kernels.arrays import Array
from daskml_exec.partitions._aligned import Aligned
from daskml_exec.partitions._data_words import leaves_in_words, on_workers, some
from daskml_exec.partitions._gather import refusing
from daskml_exec.partitions._held_results import as_block
from daskml_exec.partitions._map_rows import Function, joined_lazily, map_rows
from daskml_exec.partitions._mapped import Asked, asked_of, exchanged, given_partitions
from daskml_exec.partitions._partition import Partition, Pieces
from daskml_exec.partitions._recipes import Lent, Owner, derived_or_forgotten
from daskml_exec.partitions._target import NO_TARGET, UNSETTLED, Columns, Settled


class Data:
    """Rows on a cluster, checked and aligned, to train on: what `load` returns.

    Estimators take it where they take X, with neither y nor `sample_weight`: ``fit(data)``,
    ``score(data)``. ``predict(data)`` is a Dask array, which the Workers begin with at once, and
    which outlives it. It belongs to whoever has loaded it, and is released at the end of its
    ``with``. Several fits may use it at once. When a restart of the cluster has taken it, the next
    fit loads it again.

    Attributes
    ----------
    executor : Executor
        Of the cluster that holds it.
    n_partitions : int
    rows : tuple of int
        Of each partition.
    n_features : int
        Columns of X; 0 where it is no matrix.
    dtype : numpy.dtype
        Of X: float32 or float64; object where it was not looked at, and of samples.
    feature_names : tuple of str, or None
        They stay on the driver.
    nbytes : int
        Of X; of samples with their y and weights.
    classes : ndarray or None
        The sorted labels, in their own dtype, if y is of labels.
    n_blocks : int
        Ranges of columns: more than one for cells alone.
    like : Partition or None
        Of samples, what a partition is, without rows: X and y have their dtypes and shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from daskml_exec import Executor
    >>> from daskml_exec.linear_model import Ridge
    >>> from daskml_exec.training import load
    >>> X, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    >>> with Executor(processes=False, n_workers=1), load(X, y, target="numbers") as data:
    ...     print(data.n_features, data.rows, len(Ridge().fit(data).coef_))
    2 (6,) 2
    """

    def __init__(
        self,
        source: Owner | Lent,
        target: Any,
        cut: Any,
        settled: Settled,
        *,
        raw: bool = False,
        fields: tuple[str, ...] | None = None,
        like: Partition | None = None,
    ) -> None:
        self._source = source
        self._target, self._cut, self._settled = target, cut, settled
        self._raw, self._fields, self._like = raw, fields, like

    @classmethod
    def from_partitions(
        cls,
        futures: Sequence[Any],
        *,
        rows: Sequence[int],
        nbytes: Sequence[int],
        fields: Sequence[str],
    ) -> Data:
        """Return a Data of partitions that you have made, which then belong to it.

        Parameters
        ----------
        futures : sequence of futures
            Each of a partition: a frozen dataclass, a tuple or a dict of arrays, frames and lists
            that have one leading axis.
        rows : sequence of int
            Of each partition.
        nbytes : sequence of int
            That each takes in memory.
        fields : sequence of str
            What a partition has, in words.

        Returns
        -------
        Data
            For `daskml_exec.training.train` and `reduce`; it cannot be loaded again when it is
            lost.

        Examples
        --------
        >>> import numpy as np
        >>> from daskml_exec import Executor
        >>> from daskml_exec.training import Data
        >>> with Executor(processes=False, n_workers=1) as executor:
        ...     pair = executor.submit(lambda: (np.arange(3), ["a", "b", "c"]))
        ...     about = {"rows": [3], "nbytes": [30], "fields": ("number", "word")}
        ...     with Data.from_partitions([pair], **about) as data:
        ...         print(data)
        Data: 3 rows of number, word in 1 partition on 1 worker, 30 B
        """
        executor = Executor.current()
        partitions = given_partitions(executor, as_dask_futures(futures), rows, nbytes)
        return cls(Owner(partitions, None), NO_TARGET, None, UNSETTLED, fields=tuple(fields))

    def __enter__(self) -> Data:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.release()

    def release(self) -> None:
        """Let the cluster forget it, whoever still holds this object."""
        self._source.close()

    @property
    def partitions(self) -> Any:
        """What is on the cluster now: `Partitions`, or a `Grid` of cells."""
        return self._source.now

    @property
    def in_memory(self) -> bool:
        """Whether it is in this process, for which no cluster is needed."""
        return isinstance(self.partitions, Pieces)

    @property
    def target(self) -> Any:
        return self._target

    @property
    def settled(self) -> Settled:
        return self._settled

    @property
    def executor(self) -> Executor:
        executor: Executor = self.partitions.executor
        return executor

    @property
    def n_partitions(self) -> int:
        return len(self.rows)

    @property
    def rows(self) -> tuple[int, ...]:
        rows: tuple[int, ...] = self.partitions.rows
        return rows

    @property
    def n_features(self) -> int:
        return int(self.partitions.n_features)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.partitions.dtype
        return dtype

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        names: tuple[str, ...] | None = self.partitions.feature_names
        return names

    @property
    def nbytes(self) -> int:
        return int(self.partitions.nbytes)

    @property
    def classes(self) -> Array | None:
        return self._settled.classes

    @property
    def n_blocks(self) -> int:
        return int(getattr(self.partitions, "n_blocks", 1))

    @property
    def like(self) -> Partition | None:
        return self._like

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""
        return self._settled.weighted

    @property
    def cut(self) -> str:
        """How X is cut: in "rows" or "cells"."""
        return "rows" if self._cut is None else str(self._cut.kind)

    def map(self, query: Any) -> Data:
        """Return the data that a query makes of each partition, where it is.

        Parameters
        ----------
        query : Query
            Its ``partial(partition)`` returns what the new partition is, with as many rows: any
            frozen dataclass, tuple or dict of arrays, frames and lists. Where that is a `Partition`
            whose X is a matrix of numbers, estimators can be fitted on the result; y and weights
            must stay. Of samples, X and y may be other trees of arrays, and weights must stay.

        Returns
        -------
        Data
            With futures of its own, to be released by its own ``with``. After a loss it is made
            again, for which this one must not be released.

        Examples
        --------
        >>> from dataclasses import dataclass, replace
        >>> import numpy as np
        >>> from daskml_exec import Executor
        >>> from daskml_exec.training import Query, load
        >>> @dataclass(frozen=True)
        ... class Squares(Query):
        ...     def partial(self, partition):
        ...         return replace(partition, X=partition.X**2)
        >>> with Executor(processes=False, n_workers=1), load(np.ones((3, 2))) as data:
        ...     with data.map(Squares()) as squares:
        ...         print(squares)
        Data: 3 rows x 2 columns in 1 partition on 1 worker, 48 B
        """
        require_query(query, Query)
        parent = self.whole_rows("map")
        asked: list[Asked] = []

        def make(parent: Any) -> Any:
            asked.append(asked_of(parent, query, samples=self._like is not None))
            return asked[-1].partitions

        made = derived_or_forgotten(parent, make)
        if asked[-1].like is not None:
            return Data(made.source, NO_TARGET, None, self._settled, like=asked[-1].like)
        if asked[-1].is_matrix:
            return Data(made.source, self._target, self._cut, self._settled)
        return Data(made.source, NO_TARGET, None, UNSETTLED, fields=(type(query).__name__,))

    def exchanged(self, key: Any, n_partitions: int) -> Data:
        """As `exchange`."""
        parent = self.whole_rows("exchange")
        made = derived_or_forgotten(parent, lambda parent: exchanged(parent, key, n_partitions))
        return Data(
            made.source,
            self._target,
            self._cut,
            self._settled,
            raw=self._raw,
            fields=self._fields,
            like=self._like,
        )

    def lent(self, target: Any, cut: Any, who: str) -> Data:
        """Return it for one fit, which may release what it gets: nothing happens then.

        Parameters
        ----------
        target : Target
            What the fit needs.
        cut : Cut
            Likewise.
        who : str
            Is fitted.

        Raises
        ------
        ValueError
            It was released, or was loaded for something else.
        LostPartitionError
            Its cluster is closed, or it is on another one than the current.
        """
        self._require_numbers(who)
        if self._target.kind != target.kind:
            raise ValueError(
                f"X is a Data that was loaded with target={self._target.kind!r}; {who} needs "
                f"load(X, y, target={target.kind!r})"
            )
        self._require_cut(cut.kind, who)
        target.require_of(self._target, self._settled, who)
        cut.require_of(self.partitions, who)
        return Data(self._loan(), self._target, self._cut, self._settled)

    def lent_samples(self, who: str) -> Data:
        """Return it for one fit on samples, which may release what it gets: nothing happens then.

        Parameters
        ----------
        who : str
            Is fitted.

        Raises
        ------
        ValueError
            It was released, or has no samples.
        LostPartitionError
            As of `lent`.
        """
        self._require_here()
        if self._like is None:
            raise ValueError(f"X is a Data that has no samples; {who} needs load_samples(X, y)")
        return Data(self._loan(), self._target, self._cut, self._settled, like=self._like)

    def require_alone(self, y: Any, sample_weight: Any) -> None:
        """Raise ValueError for columns that are given beside it."""
        load = "load(X, y, sample_weight, ...)"
        if self._like is not None:
            load = "load_samples(X, y, sample_weight)"
        for name, column in (("y", y), ("sample_weight", sample_weight)):
            if column is not None:
                raise ValueError(
                    f"X is a Data, and {name} is given beside it; allowed is None, as a Data has "
                    f"its own: {load}"
                )

    def require_rows(self, who: str) -> None:
        """Raise as `lent` does unless it has whole rows of numbers, with any target."""
        self._require_numbers(who)
        self._require_cut("rows", who)

    def map_rows(self, function: Function, meta: Any) -> Any:
        """Return ``function(X)`` for the rows, in order: a Dask array of chunks of known sizes.

        The Workers begin at once, as with what is persisted, so that the result outlives this
        object.

        Parameters
        ----------
        function, meta : as in `partitions.map_rows`
        """
        return self.map_partitions(_OfX(function), meta)

    def map_partitions(self, function: Function, meta: Any, *, joined: bool = True) -> Any:
        """As `map_rows`, of a function of whole partitions; as futures if not joined."""
        futures = map_rows(function, self._loan().now.futures, meta=meta)
        if not joined:
            return futures
        return joined_lazily([as_block(each) for each in futures], meta, self.rows)

    def whole_rows(self, what: str) -> Any:
        """Return the `Partitions`, loaded again if they were lost, for as long as somebody asks.

        Parameters
        ----------
        what : str
            Is asked of them, for messages.

        Raises
        ------
        ValueError
            It is of cells.
        LostPartitionError
            As of `lent`.
        """
        self._require_here()
        if self.in_memory:
            raise ValueError(f"a Data in memory; {what} needs one on a cluster")
        if self.cut != "rows":
            raise ValueError(f"a Data with cut={self.cut!r}; {what} needs cut='rows'")
        return self._loan().now

    def as_given(self) -> Aligned:
        """Return the partitions with y and weights as the user gave them."""
        partitions, columns = self.partitions, self._settled.columns
        futures = partitions.executor.client.map(
            _as_given,
            partitions.futures,
            [columns] * self.n_partitions,
            pure=False,
            key="as-given",
        )
        return Aligned(futures, futures)

    def _loan(self) -> Lent:
        """Return the source to one who does not own it, with what there is on the cluster."""
        self._source.present()
        return Lent(self._source)

    def _require_numbers(self, who: str) -> None:
        self._require_here()
        if self._like is not None:
            raise ValueError(
                f"X is a Data of samples; {who} needs rows that load(X, y, target=...) has checked"
            )
        if self._fields is not None:
            raise ValueError(
                f"X is a Data whose partitions are of a kind of their own; {who} needs rows that "
                "load(X, y, target=...) has checked"
            )
        if self._raw:
            raise ValueError(
                f"X is a Data that was loaded with raw=True, and was not checked to be numbers; "
                f"{who} needs raw=False"
            )

    def _require_cut(self, kind: str, who: str) -> None:
        if self.cut != kind:
            parallel = "'model'" if self.cut == "cells" else "'data'"
            raise ValueError(
                f"X is a Data that was loaded with cut={self.cut!r}, for parallel={parallel}; "
                f"{who} needs load(X, y, cut={kind!r})"
            )

    def _require_here(self) -> None:
        if self.in_memory:
            return
        client: Client = self.executor.client
        if client.status in ("closing", "closed"):
            raise LostPartitionError(
                "X is a Data on a cluster whose Client is closed, so that it is gone: load it again"
            )
        here, there = scheduler_address(Executor.current().client), scheduler_address(client)
        if here != there:
            raise LostPartitionError(
                f"X is a Data on the cluster at {there}, and the current one is at {here}: use it "
                "in the `with` of the Executor that it was loaded in, or load it again"
            )

    def __reduce__(self) -> Any:
        raise TypeError(
            "a Data is of the process that loaded it: hand on what it was loaded from, and load "
            "that where it is needed"
        )

    def __repr__(self) -> str:
        if self._source.closed:
            return "Data: released"
        n, blocks, rows = self.n_partitions, self.n_blocks, sum(self.rows)
        size = f"{rows:,} rows x {self.n_features:,} column{'s' * (self.n_features != 1)}"
        if self._fields is not None:
            size = f"{rows:,} rows of {', '.join(self._fields)}"
        if self._like is not None:
            size = f"{rows:,} sample{'s' * (rows != 1)} of {', '.join(leaves_in_words(self._like))}"
        cut = f"{n:,} partition{'s' * (n != 1)}"
        if blocks > 1:
            cut += f" of {blocks:,} column blocks"
        where = " in memory" if self.in_memory else on_workers(self.executor.client)
        return f"Data: {size} in {cut}{where}, {bytes_text(self.nbytes)}"

    def _repr_html_(self) -> str:
        text = html.escape(repr(self))
        if self._source.closed:
            return text
        facts: dict[str, str] = {}
        if self._like is None:
            facts = {"dtype": str(self.dtype), "target": str(self._target.kind)}
        if self.classes is not None:
            facts["classes"] = some(self.classes.tolist())
        if self.feature_names:
            facts["columns"] = some(self.feature_names)
        facts["weights"] = "yes" if self.weighted else "no"
        return f"<b>{text}</b>{Facts(list(facts.items())).html()}"


@dataclass(frozen=True)
class _OfX:
    """A function of a partition, by one of its rows."""

    function: Function

    @property
    def __name__(self) -> str:
        return self.function.__name__

    def __call__(self, partition: Partition) -> Any:
        return self.function(partition.X)


@refusing
def _as_given(partition: Partition, columns: Columns) -> Partition:
    y, weight = columns.given(partition)
    return replace(partition, y=y, sample_weight=weight)
