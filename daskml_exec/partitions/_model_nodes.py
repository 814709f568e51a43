"""A model as one node of a graph: it travels once to each Worker, and not with every block."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle
import dask
import dask.array as da
import numpy as np
from dask.tokenize import tokenize
from distributed import Client, Future

from daskml_exec.executor import share


def as_node(model: Any) -> Any:
    """Return the model as an array without axes, which is one node to both engines of Dask."""
    return da.from_array(_boxed(model), name=f"model-{tokenize(model)}")


def as_delayed(model: Any) -> Any:
    """Return the model as a node that Delayed values may depend on."""
    return dask.delayed(model, name=f"model-{tokenize(model)}", traverse=False)


def shared_model(client: Client, model: Any) -> Future[Any]:
    """Return a future of the model, of whatever size."""
    # Not in process, where the driver would have to keep the model for as long as a result may be
    # wanted again: in a task of its own the scheduler does.
    return share(client, model, nbytes_of(model), name="model", in_process=False)


def shared_as_node(client: Client, model: Any) -> Any:
    """Return the future of a model as `as_node` returns the model: for those too large for it."""
    box = _boxed(model)
    return da.from_delayed(shared_model(client, box), (), dtype=object, meta=_boxed(None))


def nbytes_of(function: Any) -> int:
    """Return the size of the function with what it holds, without copying arrays."""
    buffers: list[pickle.PickleBuffer] = []
    body = cloudpickle.dumps(function, protocol=5, buffer_callback=buffers.append)
    return len(body) + sum(buffer.raw().nbytes for buffer in buffers)


def _boxed(model: Any) -> Any:
    box = np.empty((), dtype=object)
    box[()] = model
    return box
