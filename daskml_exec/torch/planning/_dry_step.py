"""A step on the driver that shows what the parts of a module take, and what they keep."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from daskml_exec.partitions import tree_between
from daskml_exec.torch._draws import alone
from daskml_exec.torch._optimisers import give_zero_gradients
from daskml_exec.torch._recipe import Parts
from daskml_exec.torch._steady import steady
from daskml_exec.torch._steps import autocast, checked_loss
from daskml_exec.torch._tensors import cloned
from daskml_exec.torch.pipeline._dry_run import Chain, nbytes_of
from daskml_exec.torch.pipeline._stand_in import Caller, arguments_of, loss_after
from daskml_exec.torch.pipeline._trees import passed
from daskml_exec.torch.planning._seen import PartSeen, StepSeen

_LEAST, _MOST, _SECONDS, _LONG = 3, 12, 0.25, 1.0
"""How often something is timed, at least and at most, for about how long; twice if that is long."""

_FEW = 8
"""Samples that show well enough what is kept of each."""

_CPU = torch.device("cpu")


def step_seen(parts: Parts, chain: Chain | None, batch: Any, sizes: Sequence[int]) -> StepSeen:
    """Return what a step shows of copies of a module's parts, and of its optimiser.

    Parameters
    ----------
    parts : Parts
    chain : Chain or None
        Of their module; None for one that cannot be cut, which is one part.
    batch : tree of tensors
        Of as many samples as the largest of the sizes.
    sizes : sequence of int
        Of the batches to be timed.
    """
    sizes = sorted(set(sizes))
    layout = parts.layout
    item = layout.numpy_dtype.itemsize
    with alone(), steady(_CPU):
        way = _Whole(parts) if chain is None else _Chained(parts, chain)
        found = _parts_seen(way, batch, sizes)
        del way
        update = _update_seconds(parts)
    return StepSeen(
        sizes=tuple(sizes),
        parts=found,
        update=update,
        parameters=item * layout.parameters.size,
        moments=item * layout.moments.size,
        statistics=8 * layout.statistics.size,
    )


class _Whole:
    """A copy of a module, gone through as its loss does."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.modules: list[nn.Module] = [copy.deepcopy(parts.module).train()]

    def through(self, batch: Any, noting: "_Noting") -> None:
        """Go through it forwards, and backwards if that is wanted."""
        with noting.forth(), autocast(self._parts.amp, _CPU):
            found = self._parts.loss(self.modules[0], batch)
            end = checked_loss(found, 1)[0]
        noting.back([end], None)


class _Chained:
    """Copies of the parts of a module, gone through one after the other."""

    def __init__(self, parts: Parts, chain: Chain) -> None:
        self._parts = parts
        self._copies = copy.deepcopy(chain.parts)
        self.modules: list[nn.Module] = [each.module.train() for each in self._copies]

    def through(self, batch: Any, noting: "_Noting") -> None:
        """Go through all, each backwards as soon as it has gone forwards, if that is wanted."""
        copies, loss = self._copies, Caller(self._parts.loss)
        value: Any = arguments_of(loss, cloned(batch))
        for part in copies:
            is_first, is_last = part is copies[0], part is copies[-1]
            # To see what they keep, parts go on with what the one before has made.
            given = value
            if is_first or noting.times:
                given = passed(value, part.name).entered()[1]
            with noting.forth(), autocast(self._parts.amp, _CPU):
                out = part.module(*given[0], **given[1]) if is_first else part.module(given)
                if is_last:
                    found = loss_after(loss, cloned(batch), partial(_itself, out))
                    end = checked_loss(found, 1)[0]
            if is_last:
                noting.back([end], None)
                return
            made = passed(out, part.name)
            ends = [each for each in made.tensors if each.requires_grad]
            noting.back(ends, [torch.ones_like(each) for each in ends])
            noting.between(made.tensors)
            value = made.alone().tree if noting.times else made.tree


class _Noting:
    """Notes of each part what it takes, or what it keeps."""

    times = True

    def forth(self) -> AbstractContextManager[Any]:
        """Return a context for a part's way forwards."""
        raise NotImplementedError

    def back(self, ends: Sequence[torch.Tensor], gradients: Any) -> None:
        """Have a part go backwards from here."""
        raise NotImplementedError

    def between(self, tensors: Sequence[torch.Tensor]) -> None:
        """Be told what is passed on."""


class _Times(_Noting):
    """Seconds, forwards and backwards."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []

    @contextmanager
    def forth(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds = time.perf_counter() - started

    def back(self, ends: Sequence[torch.Tensor], gradients: Any) -> None:
        started = time.perf_counter()
        if ends:
            torch.autograd.backward(ends, gradients)
        self.found.append((self._seconds, time.perf_counter() - started))


class _Kept(_Noting):
    """What is kept to go back, of all parts at once; bytes of each sample of n."""

    times = False

    def __init__(self, modules: Sequence[nn.Module], n: int) -> None:
        self._own = {
            each.untyped_storage().data_ptr()
            for module in modules
            for each in (*module.parameters(), *module.buffers())
        }
        self._n = n
        self._alive: list[Any] = []  # so that no memory is counted twice that was used again
        self.saved: list[dict[int, float]] = []
        self.passed: list[tuple[float, float]] = []

    @contextmanager
    def forth(self) -> Iterator[None]:
        saved: dict[int, float] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            there = tensor.detach()  # a tensor that keeps itself would never go
            storage = there.untyped_storage()
            if storage.data_ptr() not in self._own:
                saved[storage.data_ptr()] = storage.nbytes() / self._n
            return there

        with saved_tensors_hooks(keep, lambda there: there):
            yield
        self.saved.append(saved)

    def back(self, ends: Sequence[torch.Tensor], gradients: Any) -> None:
        self._alive.append(ends)

    def between(self, tensors: Sequence[torch.Tensor]) -> None:
        self._alive.append(tensors)
        forth = sum(each.nbytes for each in tensors) / self._n
        self.passed.append((forth, sum(e.nbytes for e in tensors if e.requires_grad) / self._n))


def _parts_seen(way: Any, batch: Any, sizes: Sequence[int]) -> tuple[PartSeen, ...]:
    n = min((each for each in sizes if each >= _FEW), default=sizes[-1])
    kept = _Kept(way.modules, n)
    way.through(cloned(tree_between(batch, 0, n)), kept)
    times = [_repeated(partial(_timed, way, cloned(tree_between(batch, 0, n)))) for n in sizes]
    passed_on = [*kept.passed, (0.0, 0.0)]
    given = [0.0, *(forth for forth, _ in kept.passed)]
    found = []
    for i, module in enumerate(way.modules):
        forth, back = zip(*(each[i] for each in times), strict=True)
        trained = {id(each): each for each in module.parameters() if each.requires_grad}
        found.append(
            PartSeen(
                forth=tuple(forth),
                back=tuple(back),
                weights=nbytes_of(module),
                trained=sum(each.nbytes for each in trained.values()),
                passed=passed_on[i][0],
                returned=passed_on[i][1],
                saved=kept.saved[i],
                given=given[i],
            )
        )
    return tuple(found)


def _timed(way: Any, batch: Any) -> list[tuple[float, float]]:
    for module in way.modules:
        module.zero_grad(set_to_none=True)
    times = _Times()
    way.through(batch, times)
    return times.found


def _repeated(call: Callable[[], list[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Return the least seconds of each part, forwards and backwards, of several tries."""
    tries: list[list[tuple[float, float]]] = []
    started = time.perf_counter()
    while len(tries) < _MOST:
        tries.append(call())
        taken = time.perf_counter() - started
        if (len(tries) >= _LEAST and taken > _SECONDS) or (len(tries) > 1 and taken > _LONG):
            break
    return [
        (min(forth for forth, _ in each), min(back for _, back in each))
        for each in zip(*tries, strict=True)
    ]


def _update_seconds(parts: Parts) -> float:
    """Return the seconds of the optimiser's step of the whole module."""
    module: nn.Module = copy.deepcopy(parts.module)
    optimiser = parts.optimiser(module)
    give_zero_gradients(module)
    optimiser.step()

    def step() -> list[tuple[float, float]]:
        started = time.perf_counter()
        optimiser.step()
        return [(time.perf_counter() - started, 0.0)]

    return _repeated(step)[0][0]


def _itself(value: Any) -> Any:
    return value
