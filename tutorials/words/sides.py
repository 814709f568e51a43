"""One training, in partitions or stages on Workers, and by PyTorch's own loop in one process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
import torch
from torch import nn

import usual_loop
from daskml_exec.torch import TorchEstimator
from usual_loop import rise_and_fall

WORKERS = 2


@dataclass(frozen=True)
class Training:
    """What both sides do.

    Attributes
    ----------
    module : callable
        Returns a module.
    loss : callable
        Of a module and samples: the mean, and over how many ids it is.
    batch : int
        Samples of a step: of the loop's, and of all partitions or replicas together.
    rate : float
        The learning rate at its highest.
    epochs, seed : int
    """

    module: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Any], Any]
    batch: int
    rate: float
    epochs: int
    seed: int


def on_workers(training: Training, samples: Any, **arguments: Any) -> tuple[TorchEstimator, float]:
    """Return what the open Executor's Workers train, and the seconds.

    Parameters
    ----------
    training : Training
    samples : array, or dict of arrays, with one leading axis
        They are held in as many partitions as there are Workers.
    **arguments : object
        The estimator's: how Workers share the work.
    """
    (X,) = dask.persist(in_partitions(samples))
    began = time.perf_counter()
    same = {
        "lr": training.rate,
        "batch_size": training.batch,
        "max_epochs": training.epochs,
        "clip_norm": 1.0,
        "scheduler": rise_and_fall,
        "random_state": training.seed,
    }
    model = TorchEstimator(training.module, loss=training.loss, **same | arguments).fit(X)
    return model, time.perf_counter() - began


def in_partitions(samples: Any, n_partitions: int = WORKERS) -> Any:
    """Return Dask arrays of so many chunks of samples."""
    if isinstance(samples, dict):
        return {name: in_partitions(each, n_partitions) for name, each in samples.items()}
    chunk = -(-len(samples) // n_partitions)
    return da.from_array(samples, chunks=(chunk, *samples.shape[1:]))


def in_one_process(training: Training, samples: Any) -> tuple[nn.Module, float]:
    """Return the module that PyTorch's own loop trains on one thread, and the seconds."""
    return usual_loop.train(
        training.module,
        lambda module, batch: training.loss(module, batch)[0],
        lambda chosen, generator: as_tensors(samples, chosen),
        n_samples(samples),
        batch=training.batch,
        rate=training.rate,
        schedule=rise_and_fall,
        epochs=training.epochs,
        seed=training.seed,
        clip_norm=1.0,
    )


def mean_loss(loss: Callable[[nn.Module, Any], Any], module: nn.Module, samples: Any) -> float:
    """Return the mean over all ids of samples."""
    n, total, weights = n_samples(samples), 0.0, 0
    with torch.inference_mode():
        for chosen in np.array_split(np.arange(n), -(-n // 64)):
            mean, weight = loss(module, as_tensors(samples, chosen))
            total, weights = total + float(mean) * int(weight), weights + int(weight)
    return total / weights


def n_samples(samples: Any) -> int:
    return len(next(iter(samples.values())) if isinstance(samples, dict) else samples)


def as_tensors(samples: Any, chosen: Any) -> Any:
    """Return some of the samples as a loss gets them."""
    if isinstance(samples, dict):
        return {name: as_tensors(each, chosen) for name, each in samples.items()}
    return torch.from_numpy(samples[chosen])
