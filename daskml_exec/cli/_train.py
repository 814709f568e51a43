"""``daskml-exec train``: read, fit, measure, tell."""

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from sklearn.exceptions import ConvergenceWarning

from daskml_exec.cli._cluster import open_executor
from daskml_exec.cli._data import Data, load_test, load_training
from daskml_exec.cli._errors import CommandError, say
from daskml_exec.cli._options import TrainOptions
from daskml_exec.cli._progress import progress_on
from daskml_exec.cli._report import Report
from daskml_exec.cli._save import Destination, model_bytes
from daskml_exec.executor import Executor
from daskml_exec.linear_model import LogisticRegression


def train(options: TrainOptions, *, out: TextIO, log: TextIO) -> None:
    """Train a model as the options say.

    Parameters
    ----------
    options : TrainOptions
    out : text stream
        For the result.
    log : text stream
        For progress and warnings.

    Raises
    ------
    CommandError
        An option's value is not allowed, the model cannot be saved, or the scheduler is lost.
    """
    options.check()
    destination = None if options.save is None else Destination(options.save)
    with open_executor(options) as executor:
        try:
            model, report = _fit(executor, options, log)
        except Exception as error:
            if options.scheduler is None or not _lost_scheduler(executor, error):
                raise
            raise CommandError(f"lost the scheduler at {options.scheduler}") from error
    print(report, file=out, flush=True)
    if destination is not None:
        destination.write(model_bytes(model, _about(options, report)))
        print(f"{'saved':<19}{destination.url}", file=out, flush=True)


def _fit(
    executor: Executor, options: TrainOptions, log: TextIO
) -> tuple[LogisticRegression, Report]:
    with _warnings_in_lines(log) as caught:
        started = time.perf_counter()
        n_workers = len(executor.check_workers())
        data = load_training(executor, options.file, options.partitions)
        test = None if options.test is None else load_test(executor, options.test, data)
        loaded = time.perf_counter()
        print(_loaded(data, n_workers, executor), file=log, flush=True)
        with progress_on(log) as progress:
            model = LogisticRegression(
                C=options.C,
                tol=options.tol,
                max_iter=options.max_iter,
                solver=options.solver,
                callbacks=[progress],
            ).fit(data.X, data.y)
        trained = time.perf_counter()
        report = Report(
            n_rows=data.n_rows,
            n_features=data.n_features,
            n_workers=n_workers,
            first_index=data.first_index,
            model_name=options.model,
            model=model,
            converged=not any(issubclass(w.category, ConvergenceWarning) for w in caught),
            training_accuracy=model.score(data.X, data.y),
            test_accuracy=None if test is None else model.score(test.X, test.y),
            loading_seconds=loaded - started,
            training_seconds=trained - loaded,
        )
    return model, report


def _lost_scheduler(executor: Executor, error: Exception) -> bool:
    """Whether the scheduler's end is behind the error: much fails with it, and in many ways."""
    broken = type(error).__module__ == "distributed.comm.core"
    return broken or executor.client.status != "running"


def _loaded(data: Data, n_workers: int, executor: Executor) -> str:
    link = executor.client.dashboard_link
    return (
        f"{data.n_rows:,} rows x {data.n_features:,} features, partitions: {data.n_partitions}, "
        f"workers: {n_workers}" + (f", dashboard: {link}" if link else "")
    )


def _about(options: TrainOptions, report: Report) -> dict[str, Any]:
    return {
        "model": options.model,
        "first_index": report.first_index,
        "n_iter": int(report.model.n_iter_[0]),
        "converged": report.converged,
        "settings": {
            "solver": options.solver,
            "C": options.C if math.isfinite(options.C) else "inf",  # JSON has no infinity
            "tol": options.tol,
            "max_iter": options.max_iter,
        },
    }


@contextmanager
def _warnings_in_lines(log: TextIO) -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings, and write each in a line at the end, when no bar is in the way."""
    with warnings.catch_warnings(record=True) as caught:
        for category in (ConvergenceWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        try:
            yield caught
        finally:
            for line in dict.fromkeys(" ".join(str(w.message).split()) for w in caught):
                say(log, f"warning: {line}")
