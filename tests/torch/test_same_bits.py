"""The same samples and chunks give the same bits on any Workers, also where some are killed."""

import contextvars
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from daskml_exec import Executor
from daskml_exec.executor import tuned
from daskml_exec.torch import TorchEstimator
from tests.tiers import covering
from tests.torch.networks import (
    IMAGES,
    LABELS,
    MODULES,
    NUMBERS,
    ROWS,
    bits,
    estimator,
    samples,
    squares,
)

CODECS = [None, "fp16", "topk:0.3"]
STATES = ["average", "local", "reset"]
OUTERS = ["average", "nesterov"]
GRID = [list(MODULES), CODECS, STATES, OUTERS]
CASES = [
    tuple(axis[i] for axis, i in zip(GRID, indices, strict=True))
    for indices in covering(2, [len(axis) for axis in GRID])
]


@pytest.fixture(autouse=True)
def short_chains() -> Iterator[None]:
    """So that fits of few rounds have rounds of all kinds: first, carrying, exact."""
    with tuned(exact_every=4):
        yield


def fitted(name: str, codec: Any, state: str, outer: str, **arguments: Any) -> Any:
    model = estimator(
        name, compression=codec, optimizer_state=state, outer=outer, max_epochs=3, **arguments
    )
    return model.fit(*samples(name))


def test_any_workers_and_threads() -> None:
    """All cases on each cluster in turn, because starting one takes longer than a fit."""
    found: dict[Any, list[Any]] = {case: [] for case in CASES}
    for n_workers, threads in ((1, 1), (2, 2), (3, 1)):
        with Executor(processes=False, n_workers=n_workers, threads_per_worker=threads):
            for case in CASES:
                model = fitted(*case, validation_fraction=0.2)
                assert model.history_.n_partitions == 5
                found[case].append(bits(model))
                for key, value in model.state_dict_.items():
                    assert "running_var" not in key or (value > 0).all()
    for case, (first, *others) in found.items():
        assert others == [first, first], case


class Leaving(torch.nn.Module):
    """Leaves behind, in buffers that it does not save, what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 1)
        self.register_buffer("last", torch.zeros(5), persistent=False)
        self.register_buffer("grown", None, persistent=False)
        self.register_buffer("odd", torch.zeros(5, dtype=torch.bool))

    def forward(self, X: Any) -> Any:
        made = self.linear(X + self.last + self.odd)[:, 0]
        if self.grown is not None:
            made = made + self.grown.mean()
        self.grown = X.detach()
        self.last += X.detach().mean(dim=0)
        self.odd ^= X.detach().mean(dim=0) > 0
        return made


def test_nothing_is_left_behind_for_the_next_partition() -> None:
    """Which of them share a copy of the module depends on the Workers."""
    found = []
    for n_workers in (1, 3):
        with Executor(processes=False, n_workers=n_workers):
            model = TorchEstimator(Leaving, loss=squares, batch_size=24, random_state=0)
            found.append(model.fit(*samples("mlp")))
    assert bits(found[0]) == bits(found[1])
    assert not found[0].state_dict_["odd"].any() and not found[0].module_.last.any()


class Teacher(torch.nn.Module):
    """Follows its own weights with a frozen copy."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.slow = torch.nn.Linear(5, 1), torch.nn.Linear(5, 1).requires_grad_(False)

    def forward(self, X: Any) -> Any:
        with torch.no_grad():
            self.slow.weight.lerp_(self.own.weight, 0.1)
        return (self.own(X) + self.slow(X))[:, 0]


def test_frozen_parameters_must_stay_as_they_are() -> None:
    with pytest.raises(ValueError, match=r"changes 'slow.weight' while .* register_buffer"):
        TorchEstimator(Teacher, loss=squares, random_state=0).fit(ROWS, NUMBERS)


def chance(module: Any, batch: Any) -> Any:
    """Score with random numbers."""
    return {"chance": (torch.rand(()), 1.0)}


def test_scores_that_draw() -> None:
    found = set()
    for n_workers in (1, 3):
        with Executor(processes=False, n_workers=n_workers):
            model = estimator("cnn", scores=chance, validation_fraction=0.2)
            found.add(tuple(model.fit(*samples("cnn")).validation_scores_))
    assert len(found) == 1


class TestTwoFitsAtOnce:
    """They share a process, its generator of random numbers, and all settings of torch's."""

    @pytest.mark.parametrize("threads", [1, 2])
    def test_on_one_cluster(self, threads: int) -> None:
        names = ["cnn", "gpt", "cnn"]
        with Executor(processes=False, n_workers=2, threads_per_worker=threads):
            expected = [bits(estimator(name).fit(*samples(name))) for name in names[:2]]
            context = [contextvars.copy_context() for _ in names]
            with ThreadPoolExecutor(len(names)) as pool:
                fits = [
                    pool.submit(each.run, lambda name: estimator(name).fit(*samples(name)), name)
                    for each, name in zip(context, names, strict=True)
                ]
                found = [bits(fit.result(60)) for fit in fits]
        assert found == [*expected, expected[0]]

    def test_one_in_memory_beside_one_on_the_cluster(self) -> None:
        here = bits(estimator("cnn").fit(IMAGES, LABELS))
        with ThreadPoolExecutor(1) as pool, Executor(processes=False, n_workers=2):
            there = bits(estimator("gpt").fit(*samples("gpt")))
            other = pool.submit(lambda: bits(estimator("cnn").fit(IMAGES, LABELS)))
            assert bits(estimator("gpt").fit(*samples("gpt"))) == there
        assert other.result(60) == here


def fit_here(name: str) -> dict[str, bytes]:
    return bits(estimator(name).fit(*samples(name)))


def test_a_fit_inside_a_task() -> None:
    with Executor(processes=False, n_workers=1) as executor:
        expected = fit_here("cnn")
        assert executor.submit(fit_here, "cnn").result(60) == expected


def test_the_generator_and_the_settings_are_as_they_were() -> None:
    torch.manual_seed(5)
    before = torch.default_generator.get_state(), torch.get_num_threads()
    estimator("cnn").fit(IMAGES, LABELS)
    assert torch.equal(torch.default_generator.get_state(), before[0])
    assert torch.get_num_threads() == before[1]


def test_one_partition_on_the_cluster_is_the_fit_in_memory() -> None:
    for name, (_, _, arrays) in MODULES.items():
        here = bits(estimator(name).fit(*arrays))
        with Executor(processes=False, n_workers=1):
            model = estimator(name).fit(*arrays)
        assert bits(model) == here
