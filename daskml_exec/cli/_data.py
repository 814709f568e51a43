"""Training and test data on the workers, read once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from daskml_exec.cli._errors import CommandError, is_expected, one_line
from daskml_exec.cli._frames import apart, count_rows, require_texts
from daskml_exec.cli._options import TrainOptions
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
            frame, text = read_table(url, partitions), options.text
            X, y = apart(frame, options.target, options.drop, text, url)
            return _held_frame(executor, X, y, text, url)
        if is_idx(url):
            return _held_images(executor, *read_idx(url, npartitions=partitions), 0)
        (X, y), reading = read_with_options(url, npartitions=partitions, finite=True)
        return _held(executor, X, y, 0 if reading.zero_based else 1)


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
            X, y = apart(read_table(url, None), options.target, (), options.text, url)
            missing = [name for name in training.X.columns if name not in X.columns]
            if missing:
                raise CommandError(
                    f"--test {url} lacks the columns {', '.join(missing)} of the training file"
                )
            X = X[list(training.X.columns)]
            return _held_frame(executor, X, y, options.text, f"--test {url}")
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
        return _held(executor, X, y, training.first_index)


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


def _held(executor: Executor, X: Any, y: Any, first_index: int | None) -> Data:
    X, y = executor.client.persist([X, y])
    # A partition's rows and labels come from one parse: whoever has the labels has parsed all.
    executor.client.compute(y.sum()).result()
    return Data(X, y, int(X.shape[0]), first_index)


def _held_images(executor: Executor, X: Any, y: Any, first_index: int | None) -> Data:
    X, y = executor.client.persist([X, y])
    for done in executor.client.compute([y.sum(), X.sum()]):
        done.result()
    return Data(X, y, int(X.shape[0]), first_index)


def _held_frame(executor: Executor, X: Any, y: Any, text: str | None, url: str) -> Data:
    X, y = executor.client.persist([X, y])
    counted = X.map_partitions(count_rows, text, meta=count_rows(X._meta, text))
    counts = executor.client.compute(counted).result()
    require_texts(counts, text, url)
    return Data(X, y, int(counts["rows"].sum()), None)
