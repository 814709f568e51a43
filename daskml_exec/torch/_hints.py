"""What may help where torch's own words do not say it."""

import inspect
from collections.abc import Callable
from traceback import walk_tb
from types import TracebackType
from typing import Any

import torch
from torch import nn


def called(how: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Return what a user's function returns for this.

    Parameters
    ----------
    how : str
        The argument, and what it is called with, in words: "scheduler(step, total)".
    function : callable
    *given, **named : object
        What it is called with.

    Raises
    ------
    TypeError
        As the function raises it; where it does not take this, with a note that says so.
    """
    try:
        return function(*given, **named)
    except TypeError as error:
        if not _takes(function, given, named):
            name = how.split("(")[0]
            error.add_note(f"{name}={function!r:.200}; allowed is what can be called as {how}")
        raise


def _takes(function: Callable[..., Any], given: Any, named: Any) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of builtins, which may take it or not
        return True
    try:
        signature.bind(*given, **named)
    except TypeError:
        return False
    return True


def hint(error: Exception, module: nn.Module | None, least_batch: int) -> str:
    """Return what may help against an error of a step; nothing where that is not known.

    Parameters
    ----------
    error : Exception
        As raised, with its traceback.
    module : nn.Module or None
        That was trained, if it came to that.
    least_batch : int
        Samples of the smallest batch.
    """
    told = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        return (
            "a smaller batch_size, or accumulate=, which goes through a batch in parts, needs "
            "less memory"
        )
    if isinstance(error, ModuleNotFoundError):
        return (
            f"the package {error.name!r} is not installed there; allowed are workers with the "
            "packages of this process"
        )
    if isinstance(error, IndexError):
        return _id_that_is_not_there(error.__traceback__, module) or _label_that_is_not_there(
            error.__traceback__
        )
    if least_batch == 1 and "more than 1 value per channel" in told:
        return (
            "BatchNorm needs two samples at least in each step; allowed are fewer partitions, or "
            "a larger batch_size"
        )
    if "sparse" in told.lower() and isinstance(error, (RuntimeError, NotImplementedError)):
        return (
            "an embedding has sparse=True, whose gradients are sparse; allowed are "
            "optimizer='sgd' and 'adagrad' with clip_norm=None, or sparse=False"
        )
    return ""


def _id_that_is_not_there(traceback: TracebackType | None, module: nn.Module | None) -> str:
    """Say which embedding was asked for which id, by what the innermost calls were given."""
    owner: nn.Embedding | nn.EmbeddingBag | None = None
    ids: object = None
    for frame, _ in walk_tb(traceback):
        given = frame.f_locals
        if isinstance(given.get("self"), (nn.Embedding, nn.EmbeddingBag)):
            owner = given["self"]
            ids = given.get("input")
    if owner is None or not isinstance(ids, torch.Tensor) or not ids.numel():
        return ""
    n = owner.num_embeddings
    wrong = ids[(ids < 0) | (ids >= n)]
    if not wrong.numel():
        return ""
    parts = () if module is None else module.named_modules()
    name = next(
        (f"the embedding {name!r}" for name, each in parts if each is owner), "an embedding"
    )
    return f"{name} has num_embeddings={n} and got the id {int(wrong[0])}; allowed are 0 to {n - 1}"


def _label_that_is_not_there(traceback: TracebackType | None) -> str:
    """Say which label the loss was given, for how many outputs."""
    outputs: object = None
    labels: object = None
    ignored: object = None
    for frame, _ in walk_tb(traceback):
        if frame.f_code.co_name in ("cross_entropy", "nll_loss", "multi_margin_loss"):
            outputs, labels, ignored = (
                frame.f_locals.get(name) for name in ("input", "target", "ignore_index")
            )
    if not (isinstance(outputs, torch.Tensor) and isinstance(labels, torch.Tensor)):
        return ""
    n = outputs.shape[min(1, outputs.ndim - 1)]
    wrong = labels[((labels < 0) | (labels >= n)) & (labels != ignored)]
    if not wrong.numel():
        return ""
    also = "" if ignored is None else f", and ignore_index={ignored}"
    return (
        f"the loss got the label {int(wrong[0])} with {n} outputs; allowed are 0 to {n - 1}{also}"
    )
