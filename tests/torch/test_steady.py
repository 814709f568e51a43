"""What threads of one process share of torch's settings is left as it was, whoever leaves first."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from daskml_exec.torch._draws import alone
from daskml_exec.torch._module import built
from daskml_exec.torch._steady import steady

CPU, OTHER = torch.device("cpu"), torch.device("meta")


class Inside:
    """A thread that is in `steady` until it is told to leave."""

    def __init__(self, device: torch.device = CPU) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()
        self._device = device
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._entered.wait(30)

    def _run(self) -> None:
        with steady(self._device):
            self._entered.set()
            self._leave.wait(30)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(30)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def in_new_thread(function: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join(30)
    return found[0]


def test_one_thread_inside_and_as_before_after() -> None:
    with steady(CPU):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_others_stay_at_one_thread_when_somebody_leaves() -> None:
    other = Inside()
    with steady(CPU):
        pass
    assert torch.get_num_threads() == 1
    other.leave()


def test_who_left_before_another_does_not_take_one_thread_for_what_was() -> None:
    other = Inside()
    with steady(CPU):
        pass
    other.leave()
    with steady(CPU):
        pass
    assert torch.get_num_threads() == 2
    assert in_new_thread(torch.get_num_threads) == 2


def test_deterministic_until_the_last_leaves() -> None:
    other = Inside(OTHER)
    with steady(OTHER):
        other.leave()
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_matrices_may_be_multiplied_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch refuses to, by deterministic algorithms, without a setting of cuBLAS's."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    with steady(torch.device("cuda")):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with steady(torch.device("cuda")):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_denormals_are_zeros_inside_only() -> None:
    tiny = torch.tensor([2e-308], dtype=torch.float64)
    with steady(CPU):
        assert float((tiny / 4).item()) == 0
    assert float((tiny / 4).item()) != 0


def test_a_module_is_built_while_nobody_else_draws() -> None:
    """Both would be spoilt: its weights, and the others' random numbers."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    made = threading.Event()

    def build() -> None:
        built(torch.nn.Linear, {"in_features": 2, "out_features": 2}, {}, seed=1)
        made.set()

    with alone():
        torch.default_generator.manual_seed(0)
        thread = threading.Thread(target=build)
        thread.start()
        # It waits for this thread, which cannot be seen but by its not being done.
        assert not made.wait(0.2)
        found = torch.rand(3)
    thread.join(30)
    assert made.is_set()
    assert torch.equal(found, expected)
