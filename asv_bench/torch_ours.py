"""Our side of the comparisons: samples that the Workers hold, and an estimator for each task."""

import atexit
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import wait

from daskml_exec import Executor
from peers.storage import cuts
from torch_data import Samples, stream
from torch_measure import Cost, Marks, processor_of
from torch_models import evaluated
from torch_tasks import WINDOW, Task

WORKERS = 2


@contextmanager
def workers(n: int = WORKERS, *, processes: bool = True) -> Iterator[Executor]:
    """Open Workers of one thread."""
    with Executor(n_workers=n, threads_per_worker=1, processes=processes) as executor:
        yield executor


def estimator(task: Task, partitions: int, **arguments: Any) -> Any:
    """Return an estimator that takes the task's batch in each partition, unless told otherwise."""
    from daskml_exec.torch import TorchEstimator  # where PyTorch is not, this file is still read

    defaults = {
        "lr": task.rate,
        "batch_size": task.batch * partitions,
        "scheduler": task.schedule,
        "random_state": 0,
    }
    return TorchEstimator(task.module, loss=task.loss, **defaults | arguments)


def on_workers(
    executor: Executor, task: Task, samples: Samples, partitions: int
) -> tuple[Any, Any]:
    """Return X and y as `fit` takes them, held by the Workers; of windows the text."""
    if task.name == "gpt":
        from daskml_exec.torch import tokens

        text = _held(executor, stream(samples), partitions)
        return tokens(text, window=WINDOW, stride=WINDOW - 1), None
    return tuple(_held(executor, array, partitions) for array in (samples.X, samples.y))


def cost(
    task: Task, samples: Samples, *, epochs: int, partitions: int = WORKERS, **arguments: Any
) -> Cost:
    """Return what training costs on worker processes of its own, one for each partition.

    They end with it: an idle one would take a few per cent of a core from a peer.
    """
    with workers(partitions) as executor:
        X, y = on_workers(executor, task, samples, partitions)
        marks = Marks(processor_of([worker.pid for worker in executor.workers()]))
        estimator(task, partitions, max_epochs=epochs, callbacks=[marks], **arguments).fit(X, y)
    return marks.cost(len(samples) * task.units)


def cost_in_memory(task: Task, samples: Samples, *, epochs: int, **arguments: Any) -> Cost:
    """Return what training costs in this process, without a cluster, in one partition."""
    marks = Marks(time.process_time)
    model = estimator(task, 1, max_epochs=epochs, callbacks=[marks], **arguments)
    with dask.config.set({"daskml-exec.partition-bytes": 1 << 40}):
        model.fit(samples.X, samples.y)
    return marks.cost(len(samples) * task.units)


def score(task: Task, model: Any, samples: Samples) -> float:
    import torch

    X, y = (None if array is None else torch.from_numpy(array) for array in (samples.X, samples.y))
    return evaluated(task.score, model.module_, X, y)


def _held(executor: Executor, array: Any, partitions: int) -> da.Array:
    """Return an array of so many chunks; the Workers read their rows of a file."""
    path = _folder() / f"{uuid.uuid4().hex}.npy"
    np.save(path, array)
    chunks = [
        da.from_delayed(
            dask.delayed(_rows)(path, start, stop),
            (stop - start, *array.shape[1:]),
            array.dtype,
        )
        for start, stop in cuts(len(array), partitions)
    ]
    held = executor.client.persist(da.concatenate(chunks))
    wait(held)
    return held


@cache
def _folder() -> Path:
    """Return a folder that goes with this process: rows of a killed Worker are read again."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _rows(path: Path, start: int, stop: int) -> Any:
    return np.array(np.load(path, mmap_mode="r")[start:stop])
