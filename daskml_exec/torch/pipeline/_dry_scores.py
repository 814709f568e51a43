"""Whether samples held out can be scored in stages, by a batch that goes through copies."""

import copy
from typing import Any

import torch
from torch import nn

from daskml_exec.partitions import tree_rows
from daskml_exec.torch._draws import alone, drawn_since, generator_state, seed_generator
from daskml_exec.torch._scores import Scores
from daskml_exec.torch._steady import steady
from daskml_exec.torch.pipeline._dry_run import Chain
from daskml_exec.torch.pipeline._same import output_in_eval
from daskml_exec.torch.pipeline._scoring import called_in_stages
from daskml_exec.torch.pipeline._stand_in import arguments_of, loss_after


def scores_draw(module: nn.Module, chain: Chain, scores: Scores, batch: Any, *, seed: int) -> bool:
    """Return whether scores of a batch draw random numbers, in the module or beside it.

    Parameters
    ----------
    module : nn.Module
    chain : Chain
        Its parts.
    scores : Scores
    batch : tree of tensors
    seed : int

    Raises
    ------
    ValueError, AttributeError
        Scores do not call the module once, or its parts do not what it does in eval mode.
    """
    call = called_in_stages(scores, tree_rows(batch))
    with alone(), steady(torch.device("cpu")), torch.no_grad():
        seed_generator(seed)
        before = generator_state()
        arguments = arguments_of(call, copy.deepcopy(batch))
        drawn = drawn_since(before)
        seed_generator(seed)
        output = output_in_eval(module, chain.parts, arguments, seed=seed, who=chain.who)
        loss_after(call, copy.deepcopy(batch), lambda: output)
        return drawn or drawn_since(before)
