"""A loss whose module gives logits that are cut: what it asks, and what it makes of the answer.

The blocks' answer comes from other Workers, so that the loss is called twice.
"""

from collections.abc import Callable
from typing import Any

import torch

from daskml_exec.torch.pipeline._cut_logits import Answer, CutLogits, Question
from daskml_exec.torch.pipeline._stand_in import Caller, loss_after


class _Asked(BaseException):
    """The loss has asked, and no more is to be known of it.

    No `Exception`, which a loss may catch.
    """

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question


def question_of(
    loss: Callable[..., Any], batch: Any, logits: Callable[[Answer], CutLogits]
) -> Question:
    """Return what a loss asks of logits.

    Parameters
    ----------
    loss : callable
    batch : tree of tensors
    logits : callable
        Returns what stands for them, and asks a function.

    Raises
    ------
    ValueError, TypeError
        It does something else with the module's output than cross-entropy.
    """

    def stop(question: Question) -> torch.Tensor:
        raise _Asked(question)

    try:
        loss_after(Caller(loss), batch, lambda: logits(stop))
    except _Asked as signal:
        return signal.question
    raise _not_asked()


def loss_of_answer(
    loss: Callable[..., Any],
    batch: Any,
    logits: Callable[[Answer], CutLogits],
    losses: torch.Tensor,
) -> Any:
    """Return what a loss makes of what each token of its question loses.

    Parameters
    ----------
    loss, batch, logits
        As in `question_of`.
    losses : tensor of shape (n_tokens,)

    Raises
    ------
    ValueError, TypeError
        It asks more than once.
    """
    asked: list[Question] = []

    def answer(question: Question) -> torch.Tensor:
        asked.append(question)
        if len(asked) > 1:
            raise ValueError(
                "loss computes cross_entropy of the module's output more than once; with "
                "output_blocks allowed is once: of several terms, by reduction='none'"
            )
        return losses

    found = loss_after(Caller(loss), batch, lambda: logits(answer))
    if not asked:
        raise _not_asked()
    return found


def _not_asked() -> ValueError:
    return ValueError(
        "loss does not compute cross_entropy of the module's output; with output_blocks allowed "
        "are torch.nn.functional.cross_entropy and nn.CrossEntropyLoss of it, once"
    )


def logits_of(shape: torch.Size, like: torch.Tensor, n_outputs: int, answer: Answer) -> CutLogits:
    """Return what stands for the logits of vectors.

    Parameters
    ----------
    shape : torch.Size
        Of the vectors, without their own axis, which is the last.
    like : tensor
        Of their dtype, and where they are.
    n_outputs : int
    answer : callable
    """
    tokens = torch.arange(shape.numel(), device=like.device).reshape(shape)
    return CutLogits(tokens, tokens.ndim, n_outputs, like.new_empty(0), answer)
