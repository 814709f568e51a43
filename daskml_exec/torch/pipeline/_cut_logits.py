"""What a loss gets for logits that are cut into blocks on several Workers.

There are none in one place. It has their shape, remembers which axes are where, and can be given to
PyTorch's cross-entropy, which asks the blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

_ALLOWED = (
    "with output_blocks the logits are in blocks on several Workers; allowed are "
    "torch.nn.functional.cross_entropy and nn.CrossEntropyLoss of the module's output, once, and "
    "before it view, reshape, flatten, transpose, permute, movedim and an index of other axes than "
    "that of the logits"
)
# What is known without any number.
_KNOWN = {
    *("shape", "dtype", "device", "ndim", "layout", "is_cuda", "is_cpu", "requires_grad", "names"),
    *("size", "dim", "numel", "is_floating_point", "is_complex", "__len__", "get_device"),
}
_REORDERED = {
    *("transpose", "swapaxes", "swapdims", "permute", "movedim", "moveaxis", "t", "T", "mT"),
}
_RESHAPED = {"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"}
_AS_IT_IS = {"contiguous", "to", "float", "double"}
# Of which PyTorch would hide why they are refused, or Python go on without them.
_OPERATORS = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and", "or", "xor", "lt", "le", "eq", "ne", "gt", "ge"),
)


@dataclass(frozen=True)
class Question:
    """What cross-entropy asks the blocks.

    Attributes
    ----------
    tokens : tensor of shape (n,)
        Which of the vectors that the output layer is given: their places, without other axes.
    targets : tensor of shape (n,)
        Classes.
    smoothing : float
        Of labels.
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    smoothing: float


Answer = Callable[[Question], torch.Tensor]
"""Returns what each token of a question loses."""


class CutLogits(torch.Tensor):
    """A tensor without numbers.

    Parameters
    ----------
    tokens : tensor of integers
        The places of the vectors that logits are made of, in the shape of the axes beside theirs.
    axis : int
        Where among these axes that of the logits is.
    n_outputs : int
        Its length.
    like : tensor
        Of the dtype and on the device of the logits.
    answer : callable
    """

    tokens: torch.Tensor
    axis: int
    n_outputs: int
    like: torch.Tensor
    answer: Answer

    @staticmethod
    def __new__(
        cls, tokens: torch.Tensor, axis: int, n_outputs: int, like: torch.Tensor, answer: Answer
    ) -> "CutLogits":
        shape = (*tokens.shape[:axis], n_outputs, *tokens.shape[axis:])
        made: CutLogits = torch.Tensor._make_wrapper_subclass(
            cls, shape, dtype=like.dtype, device=like.device, requires_grad=True
        )
        made.tokens, made.axis, made.n_outputs = tokens, axis, n_outputs
        made.like, made.answer = like, answer
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _name_of(func)
        given = args[0] if args else kwargs.get("input")
        if isinstance(given, CutLogits):
            others = (*args[1:], *(each for key, each in kwargs.items() if key != "input"))
            if not any(isinstance(each, CutLogits) for each in others):
                rest = {key: each for key, each in kwargs.items() if key != "input"}
                if name in _KNOWN:
                    with torch._C.DisableTorchFunctionSubclass():
                        return func(given, *args[1:], **rest)
                if func is functional.cross_entropy:
                    return _cross_entropy(given, *args[1:], **rest)
                if name in _REORDERED:
                    return given._reordered(func, args[1:], rest)
                if name in _RESHAPED:
                    return given._reshaped(name, func, args[1:], rest)
                if name == "__getitem__":
                    return given._indexed(args[1])
                if name in _AS_IT_IS:
                    return given._as_it_is(name, func, args[1:], rest)
        raise _refused(name)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise _refused(str(func))

    def _with(self, tokens: torch.Tensor, axis: int) -> "CutLogits":
        return CutLogits(tokens, axis, self.n_outputs, self.like, self.answer)

    def _reordered(self, func: Any, args: Any, kwargs: Any) -> "CutLogits":
        # A tensor of no numbers, whose axes are told by their lengths.
        order = list(func(torch.empty(tuple(range(self.ndim))), *args, **kwargs).shape)
        others = [each - (each > self.axis) for each in order if each != self.axis]
        return self._with(self.tokens.permute(others), order.index(self.axis))

    def _reshaped(self, name: str, func: Any, args: Any, kwargs: Any) -> "CutLogits":
        there = torch.empty(self.shape, dtype=self.dtype, device="meta")
        made = func(there, *args, **kwargs)
        before = self.tokens.shape[: self.axis].numel()
        for axis, length in enumerate(made.shape):
            if length == self.n_outputs and made.shape[:axis].numel() == before:
                shape = torch.Size((*made.shape[:axis], *made.shape[axis + 1 :]))
                if made.dtype == self.dtype and shape.numel() == self.tokens.numel():
                    return self._with(self.tokens.reshape(shape), axis)
        raise TypeError(
            f"loss calls {name} of the module's output, and brings the axis of its "
            f"{self.n_outputs} logits together with others; {_ALLOWED}"
        )

    def _indexed(self, index: Any) -> "CutLogits":
        items = list(index) if isinstance(index, tuple) else [index]
        used = sum(map(_axes_of, items))
        at = next((i for i, each in enumerate(items) if each is ...), len(items))
        rest: list[Any] = [slice(None)] * (self.ndim - used)
        items = [*items[:at], *rest, *items[at + 1 :]]
        last = items[-1]
        whole = isinstance(last, slice) and last.indices(self.n_outputs) == (0, self.n_outputs, 1)
        if self.axis != self.ndim - 1 or used > self.ndim or not whole:
            raise TypeError(
                f"loss indexes the module's output by {index!r:.200}, where the axis of its "
                f"{self.n_outputs} logits is {self.axis} of {self.ndim}; {_ALLOWED}, which is the "
                "last one then"
            )
        tokens = self.tokens[tuple(items[:-1])]
        return self._with(tokens, tokens.ndim)

    def _as_it_is(self, name: str, func: Any, args: Any, kwargs: Any) -> "CutLogits":
        made = func(self.like, *args, **kwargs)
        if made.dtype != self.dtype or made.device != self.device:
            raise TypeError(
                f"loss calls {name} of the module's output, which makes of {self.dtype} on "
                f"{self.device} {made.dtype} on {made.device}; {_ALLOWED}"
            )
        return self


def _refused(name: str) -> TypeError:
    return TypeError(f"loss calls {name} of the module's output; {_ALLOWED}")


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(self: CutLogits, *args: Any) -> Any:
        raise _refused(name)

    return refuse


for _operator in _OPERATORS:
    for _kind in ("", "r", "i"):
        setattr(CutLogits, f"__{_kind}{_operator}__", _refusing(_operator))


def _name_of(func: Any) -> str:
    name = getattr(func, "__name__", None) or str(func)
    # Of an attribute that is asked for, and not of the function that looks it up.
    return str(getattr(func.__self__, "__name__", name)) if name == "__get__" else str(name)


def _axes_of(item: Any) -> int:
    """Return of how many axes an item of an index chooses."""
    if item is None or item is ...:
        return 0
    is_mask = getattr(item, "dtype", None) in (torch.bool, bool)
    return int(item.ndim) if is_mask else 1


def _cross_entropy(
    logits: CutLogits,
    target: torch.Tensor,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    for name, value in {"weight": weight, "size_average": size_average, "reduce": reduce}.items():
        if value is not None:
            raise ValueError(
                f"loss calls cross_entropy with {name}= of the module's output; with output_blocks "
                f"allowed is {name}=None"
            )
    if target.is_floating_point():
        raise ValueError(
            f"loss calls cross_entropy with targets of {target.dtype}, which are probabilities of "
            "classes; with output_blocks allowed are classes, of torch.int64"
        )
    classes = min(1, logits.ndim - 1)
    if logits.axis != classes:
        raise ValueError(
            f"loss calls cross_entropy with logits of shape {tuple(logits.shape)}, whose axis "
            f"{logits.axis} is that of the module's {logits.n_outputs} outputs; allowed is axis "
            f"{classes}, where cross_entropy has its classes: .flatten(0, -2), or "
            ".movedim(-1, 1)"
        )
    if target.shape != logits.tokens.shape:
        raise ValueError(
            f"loss calls cross_entropy with logits of shape {tuple(logits.shape)} and targets of "
            f"shape {tuple(target.shape)}; allowed are targets of shape "
            f"{tuple(logits.tokens.shape)}"
        )
    flat = target.reshape(-1).long()
    (counts,) = (flat != ignore_index).nonzero(as_tuple=True)
    targets = flat[counts]
    for wrong in targets[(targets < 0) | (targets >= logits.n_outputs)][:1].tolist():
        raise IndexError(f"Target {wrong} is out of bounds.")  # as PyTorch names it
    tokens = logits.tokens.reshape(-1)[counts]
    losses = logits.answer(Question(tokens, targets, float(label_smoothing)))
    if reduction == "mean":
        return losses.sum() / len(losses) if len(losses) else losses.sum() * torch.nan
    if reduction == "sum":
        return losses.sum()
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")  # as PyTorch does
    return losses.new_zeros(len(flat)).index_put((counts,), losses).reshape(target.shape)
