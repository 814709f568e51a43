"""Modules that are compared with y by a criterion."""

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from daskml_exec.torch._arguments import require_options
from daskml_exec.torch._hints import called
from daskml_exec.torch._outputs import call


@dataclass(frozen=True)
class CriterionLoss:
    """The mean of a criterion over a batch, by the samples' weights where there are any.

    Attributes
    ----------
    criterion : callable
        ``criterion(outputs, y)`` returns the mean.
    each : callable or None
        As `criterion`, of each sample; needed for weights.
    n_outputs : int or None
        That the module must give, if that is known.
    """

    criterion: Any
    each: Any
    n_outputs: int | None

    def __call__(self, module: Any, batch: Any) -> Any:
        """Return the mean, with the weights' sum where there are weights."""
        X, y, *weight = batch
        return self.mean(self.outputs(module, X, y), y, *weight)

    def to(self, device: torch.device) -> None:
        """Move what criteria hold, as the weights of classes, to a device."""
        for each in (self.criterion, self.each):
            if isinstance(each, nn.Module):
                each.to(device)

    def mean(self, outputs: torch.Tensor, y: torch.Tensor, weight: Any = None) -> Any:
        """Return the mean of these outputs, with the weights' sum where there are weights."""
        if weight is None:
            return called("criterion(outputs, y)", self.criterion, outputs, y)
        losses = self.each(outputs, y)
        losses = losses.reshape(len(losses), -1).mean(dim=1)
        total = weight.sum()
        return (losses * weight).sum() / total, total

    def sums(self, outputs: torch.Tensor, y: torch.Tensor, weight: Any = None) -> tuple[Any, Any]:
        """Return the loss of a batch times its weight, and the weight."""
        found = self.mean(outputs, y, weight)
        mean, total = found if isinstance(found, tuple) else (found, len(y))
        return mean * total, total

    def outputs(self, module: Any, X: Any, y: torch.Tensor) -> torch.Tensor:
        """Return the module's outputs, in the shape of y where only that differs."""
        outputs = call(module, X)
        if not isinstance(outputs, torch.Tensor):
            raise ValueError(
                f"the module returned a {type(outputs).__name__}; allowed is a tensor: what "
                "returns more is trained by TorchEstimator with a loss of its own"
            )
        if self.n_outputs is not None and (outputs.dim() < 2 or outputs.shape[1] != self.n_outputs):
            raise ValueError(
                f"the module gives outputs of shape {tuple(outputs.shape)} for {len(y)} samples of "
                f"{self.n_outputs} classes; allowed is one output per class: "
                f"({len(y)}, {self.n_outputs})"
            )
        if self.n_outputs is None and outputs.shape != y.shape:
            if outputs.numel() != y.numel():
                raise ValueError(
                    f"the module gives outputs of shape {tuple(outputs.shape)} for y of shape "
                    f"{tuple(y.shape)}; allowed is one output per number of y"
                )
            outputs = outputs.reshape(y.shape)
        return outputs


def move(loss: Any, device: torch.device) -> None:
    """Bring what a loss holds, as weights of classes, to a device."""
    if isinstance(loss, CriterionLoss | nn.Module):
        loss.to(device)


def criterion_loss(
    criterion: Any, options: Mapping[str, Any], n_outputs: int | None, *, weighted: bool
) -> CriterionLoss:
    """Return the loss of a class of criteria, or of a function of (outputs, y).

    Raises
    ------
    ValueError
        There are weights, and the criterion cannot say what each sample loses.
    """
    if not inspect.isclass(criterion):
        if options:
            raise TypeError(
                f"criterion is no class, and criterion__{next(iter(options))} is given beside it"
            )
        mean = criterion
        each = None
        if isinstance(criterion, nn.Module) and hasattr(criterion, "reduction"):
            each = _each_of(criterion)
    else:
        require_options(criterion, options, "criterion")
        mean = criterion(**options)
        asks = "reduction" in inspect.signature(criterion).parameters
        each = criterion(**{**options, "reduction": "none"}) if asks else None
    if weighted and each is None:
        raise ValueError(
            f"sample_weight with criterion={criterion!r}, which has no reduction='none' to say "
            "what each sample loses; allowed are torch's criteria, and sample_weight=None"
        )
    return CriterionLoss(mean, each, n_outputs)


def _each_of(criterion: nn.Module) -> nn.Module:
    other: Any = copy.deepcopy(criterion)
    other.reduction = "none"
    return other
