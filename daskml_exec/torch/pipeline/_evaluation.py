"""Stages in eval mode, for as long as samples held out go through them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from daskml_exec.torch.pipeline._stage import Stage


@contextmanager
def in_eval_mode(stages: Iterable[Stage]) -> Iterator[None]:
    """Have stages in eval mode and compute no gradients; leave all of them as it was.

    A module may have parts that are never in training, and may keep something in a buffer in eval
    mode, too, on which what is trained next would depend.

    Parameters
    ----------
    stages : iterable of Stage
    """
    parts = [part.module for stage in stages for part in stage.parts]
    modules = [module for part in parts for module in part.modules()]
    modes = [(module, module.training) for module in modules]
    buffers = [
        (module, name, buffer, buffer._version, buffer.clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    for part in parts:
        part.eval()
    with torch.no_grad():
        yield  # where it raises, the stages are made anew
        for part in parts:  # which some override
            part.train()
        for module, mode in modes:
            module.training = mode
        for module, name, buffer, version, before in buffers:
            module._buffers[name] = buffer
            if buffer._version != version:
                buffer.copy_(before)
