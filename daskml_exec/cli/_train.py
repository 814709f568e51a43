"""``daskml-exec train``: read, fit, measure, tell."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from sklearn.exceptions import ConvergenceWarning

from daskml_exec.cli import _logs
from daskml_exec.cli._columns import Columns, Indices, Names
from daskml_exec.cli._confusion import Confusion
from daskml_exec.cli._data import Data, load_test, load_training
from daskml_exec.cli._errors import CommandError, say
from daskml_exec.cli._frames import in_front
from daskml_exec.cli._interrupts import interrupts_deferred
from daskml_exec.cli._options import TrainOptions
from daskml_exec.cli._progress import progress_on
from daskml_exec.cli._report import NAME_WIDTH, Report
from daskml_exec.cli._save import Destination
from daskml_exec.cli._streams import tell
from daskml_exec.executor import Executor, LostSchedulerError, dashboard_link
from daskml_exec.metrics import accuracy_score, confusion_matrix


def train(options: TrainOptions, *, out: TextIO | None, log: TextIO) -> None:
    """Train a model as the options say.

    Parameters
    ----------
    options : TrainOptions
    out : text stream or None
        For the result.
    log : text stream
        For progress and warnings.

    Raises
    ------
    CommandError
        An option's value is not allowed, the model cannot be saved, the scheduler is lost, or the
        result cannot be written to `out`, after the model was saved.
    """
    options.check()
    destination = None if options.save is None else Destination(options.save)
    with open_executor(options) as executor:
        try:
            report = _fit(executor, options, destination, log)
        except Exception as error:
            if options.scheduler is None or not _lost_scheduler(executor, error):
                raise
            raise CommandError(f"lost the scheduler at {options.scheduler}") from error
    saved = "" if destination is None else f"\n{'saved':<{NAME_WIDTH}}{destination.url}"
    tell(f"{report}{saved}", out)


def open_executor(options: TrainOptions) -> Executor:
    """Attach to the scheduler that was named, or start worker processes."""
    if options.scheduler is not None:
        return Executor(options.scheduler)
    with interrupts_deferred() as interrupts:
        executor = Executor(n_workers=options.workers, preload=_logs.__name__)
    if interrupts:
        executor.shutdown()
        raise KeyboardInterrupt
    return executor


def _fit(
    executor: Executor, options: TrainOptions, destination: Destination | None, log: TextIO
) -> Report:
    kind = options.model
    with _warnings_in_lines(log, kind.usual_warnings) as caught:
        started = time.perf_counter()
        n_workers = len(executor.check_workers())
        data = load_training(executor, options)
        test = None if options.test is None else load_test(executor, options.test, data, options)
        loaded = time.perf_counter()
        print(_loaded(data, n_workers, executor), file=log, flush=True)
        model = kind.estimator([progress_on(log)])
        whole = in_front(model, data.X, options.text) if data.named else model
        fitted = whole.fit(data.X, data.y)
        trained = time.perf_counter()
        converged = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
        if destination is not None:
            # First of all: scores, the end of the cluster and the report may fail.
            destination.write(fitted, {"first_index": data.first_index, "converged": converged})
        test_accuracy, confusion = (None, None) if test is None else _tested(executor, fitted, test)
        return Report(
            n_rows=data.n_rows,
            n_features=data.n_features,
            n_workers=n_workers,
            columns=_columns(data, fitted),
            kind=kind,
            model=model,
            converged=converged,
            training_accuracy=fitted.score(data.X, data.y),
            test_accuracy=test_accuracy,
            loading_seconds=loaded - started,
            training_seconds=trained - loaded,
            confusion=confusion,
        )


def _tested(executor: Executor, fitted: Any, test: Data) -> tuple[float, Confusion | None]:
    """Return the accuracy on test rows, and which labels were taken for which."""
    # Held, since both ask for them: to predict is the dear part.
    predicted = executor.client.persist(fitted.predict(test.X))
    accuracy = accuracy_score(test.y, predicted)
    if not accuracy:  # the model may know none of the labels, which scikit-learn refuses
        return accuracy, None
    labels = fitted.classes_
    matrix = confusion_matrix(test.y, predicted, labels=labels)
    return accuracy, Confusion(labels, matrix, test.n_rows)


def _columns(data: Data, fitted: Any) -> Columns:
    if data.first_index is not None:
        return Indices(data.first_index)
    return Names(list(fitted[0].get_feature_names_out()))


def _lost_scheduler(executor: Executor, error: Exception) -> bool:
    """Whether the scheduler's end is behind the error: much fails with it, and in many ways."""
    broken = (
        isinstance(error, LostSchedulerError) or type(error).__module__ == "distributed.comm.core"
    )
    return broken or executor.client.status != "running"


def _loaded(data: Data, n_workers: int, executor: Executor) -> str:
    link = dashboard_link(executor.client)
    return (
        f"{data.n_rows:,} rows x {data.n_features:,} features, partitions: {data.n_partitions}, "
        f"workers: {n_workers}" + (f", dashboard: {link}" if link else "")
    )


@contextmanager
def _warnings_in_lines(
    log: TextIO, usual: tuple[type[Warning], ...]
) -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings, and write each unusual one in a line when no bar is in the way."""
    with warnings.catch_warnings(record=True) as caught:
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        try:
            yield caught
        finally:
            told = (w.message for w in caught if not issubclass(w.category, usual))
            for line in dict.fromkeys(" ".join(str(message).split()) for message in told):
                say(log, f"warning: {line}")
