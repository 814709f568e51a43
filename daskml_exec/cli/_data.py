"""Training and test data on the workers, read once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from daskml_exec.cli._errors import CommandError, is_expected, one_line
from daskml_exec.cli._frames import apart, require_alike, to_learn_from, to_test_with
from daskml_exec.cli._options import TrainOptions
from daskml_exec.cli._values import look_at, require_usable
from daskml_exec.datasets import read_idx
from daskml_exec.datasets._idx import is_idx
from daskml_exec.datasets._libsvm import read_with_options
from daskml_exec.datasets._tables import read_table
from daskml_exec.executor import Executor

# Where Debian's and Ubuntu's package has the images of the documented example.
_DEBIANS = "/usr/share/datasets/fashion-mnist/"


@dataclass(frozen=True)
class Data:
    """Rows that the workers hold, as persisted Dask arrays."""

    X: Any
    y: Any
    n_rows: int
    first_index: int | None
    """The index that column 0 has in the file: 0 or 1; None where columns have names."""

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

    @property
    def named(self) -> bool:
        """Whether columns have names: X and y are a Dask dataframe and one of its columns."""
        return self.first_index is None

    @property
    def n_partitions(self) -> int:
        """Number of row ranges."""
        return int(self.X.npartitions if self.named else self.X.numblocks[0])


def load_training(executor: Executor, options: TrainOptions) -> Data:
    """Read the training file, and wait until the workers hold its rows."""
    url, partitions = options.file, options.partitions
    with _reading(url):
        if options.target is not None:
            target, dropped, text = options.target, options.drop, options.text
            frame = read_table(
                url, partitions, lambda names: to_learn_from(names, target, dropped, text, url)
            )
            return _held_frame(executor, frame, target, text, url)
        if is_idx(url):
            return _held_images(executor, *read_idx(url, npartitions=partitions), 0)
        (X, y), reading = read_with_options(url, npartitions=partitions, finite=True)
        return _held(executor, X, y, 0 if reading.zero_based else 1, url)


def load_test(executor: Executor, url: str, training: Data, options: TrainOptions) -> Data:
    """Read the test file with the columns of the training data.

    Its own indices do not decide where they start: a file of a few rows may lack an index 0 that
    the training file has.

    Raises
    ------
    CommandError
        The file has more features than the training file, other columns, or images of another size.
    """
    zero_based = training.first_index == 0
    with _reading(url):
        if options.target is not None:
            return _held_frame_to_test(executor, url, training, options.target, options.text)
        if is_idx(url):
            X, y = read_idx(url)
            if X.shape[1] != training.n_features:
                raise CommandError(
                    f"--test {url} has images of {X.shape[1]} values, the training file has "
                    f"{training.n_features} features"
                )
            return _held_images(executor, X, y, training.first_index)
        (X, y), _ = read_with_options(url, zero_based=zero_based, finite=True)
        if X.shape[1] > training.n_features:
            raise CommandError(
                f"--test {url} has {X.shape[1]} features, more than the "
                f"{training.n_features} of the training file"
            )
        if X.shape[1] < training.n_features:
            (X, y), _ = read_with_options(
                url, n_features=training.n_features, zero_based=zero_based, finite=True
            )
        return _held(executor, X, y, training.first_index, f"--test {url}")


@contextmanager
def _reading(url: str) -> Iterator[None]:
    """Make whatever a file system or a decompressor raises an error that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        if url.startswith(_DEBIANS):
            error.add_note("apt-get install dataset-fashion-mnist puts it there")
        raise
    except Exception as error:
        if is_expected(error):
            raise
        raise CommandError(f"cannot read {url}: {one_line(error)}") from error


def _held(executor: Executor, X: Any, y: Any, first_index: int | None, url: str) -> Data:
    X, y = executor.client.persist([X, y])
    # A partition's rows and labels come from one parse: whoever has the labels has parsed all.
    if executor.client.compute((y % 1 != 0).any()).result():
        labels = y.compute()
        row = int(np.flatnonzero(labels % 1)[0])
        raise CommandError(
            f"{url} has labels that are not whole numbers, the first of which is {labels[row]} in "
            f"row {row} (counted from 0); allowed are whole numbers"
        )
    return Data(X, y, int(X.shape[0]), first_index)


def _held_images(executor: Executor, X: Any, y: Any, first_index: int | None) -> Data:
    X, y = executor.client.persist([X, y])
    for done in executor.client.compute([y.sum(), X.sum()]):
        done.result()
    return Data(X, y, int(X.shape[0]), first_index)


def _held_frame(executor: Executor, frame: Any, target: str, text: str | None, url: str) -> Data:
    X, y = executor.client.persist(apart(frame, target, text, url))
    seen = X.map_partitions(look_at, y, text, meta=pd.Series([], dtype=object))
    blocks = executor.client.compute(seen).result()
    return Data(X, y, require_usable(blocks, target, text, url), None)


def _held_frame_to_test(
    executor: Executor, url: str, training: Data, target: str, text: str | None
) -> Data:
    types = {**training.X.dtypes, target: training.y.dtype}
    texts = [name for name, dtype in types.items() if not pd.api.types.is_numeric_dtype(dtype)]
    frame = read_table(
        url, None, lambda names: to_test_with(names, list(training.X.columns), target, url), texts
    )
    require_alike(frame, types, url)
    return _held_frame(executor, frame, target, text, f"--test {url}")
