"""What a device does to a fit, copy by copy, with the CPU standing in for one that is elsewhere."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from daskml_exec import Executor
from daskml_exec.kernels.networks.optimisers import OptimiserState
from daskml_exec.torch import TorchClassifier, TorchEstimator, _trainer, _transfer
from daskml_exec.torch._local_module import LocalModule
from daskml_exec.torch._transfer import fetched, sent
from daskml_exec.training.averaging import Buffers, Model
from tests.torch.networks import MODULES, NUMBERS, ROWS, bits, estimator, samples, squares


class Copies(list[str]):
    """Copies to the device and back, in order."""

    @property
    def in_turn(self) -> bool:
        """Whether each way has as many, and they take turns where rounds do not overlap."""
        return self.count("in") == self.count("out")


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[Copies]:
    """Take the CPU for a device to which all must be copied."""
    seen = Copies()
    to_device, to_host = _transfer.to_device, _transfer.to_host

    def there(packed: Any, device: Any) -> Any:
        seen.append("in")
        return to_device(packed.copy(), device)

    def here(packed: Any) -> Any:
        seen.append("out")
        return to_host(packed.clone())

    monkeypatch.setattr(_transfer, "to_device", there)
    monkeypatch.setattr(_transfer, "to_host", here)
    for module in (_transfer, _trainer):
        monkeypatch.setattr(module, "is_here", lambda device: False)
    yield seen


@pytest.mark.parametrize("name", MODULES)
def test_one_copy_each_way_in_a_round(
    name: str, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"validation_fraction": 0.2, "max_epochs": 3}
    there = estimator(name, **arguments).fit(*MODULES[name][2])
    assert copies == ["in", "out"] * 6  # three epochs, each of which is scored
    monkeypatch.undo()
    assert bits(there) == bits(estimator(name, **arguments).fit(*MODULES[name][2]))


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_on_a_cluster(optimizer: str, copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"optimizer": optimizer, "compression": "topk:0.3", "clip_norm": 1.0}
    with Executor(processes=False, n_workers=2):
        there = estimator("cnn", **arguments).fit(*samples("cnn"))
        rounds = sum(record.step == "train" for record in there.history_)
        # Four of the five partitions have samples, though not in every round.
        assert copies.in_turn and 3 * rounds < len(copies) <= 8 * rounds
        monkeypatch.undo()
        assert bits(there) == bits(estimator("cnn", **arguments).fit(*samples("cnn")))


def test_arrays_of_all_kinds_travel_together(copies: Copies) -> None:
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 255, size=(3, 5), dtype=np.uint8),
        rng.normal(size=7),
        np.empty((0, 4), np.float32),
        np.array([True, False, True]),
        rng.normal(size=(2, 2)).astype(np.float32)[:, ::-1],
        np.arange(3),
    ]
    device = torch.device("cpu")
    found = sent(arrays, device)
    back = fetched(found, device)
    assert copies == ["in", "out"]
    for array, tensor, again in zip(arrays, found, back, strict=True):
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(tensor.numpy(), array)
        np.testing.assert_array_equal(again, array)


def test_moments_of_another_partition_are_not_taken_over() -> None:
    """Others have taken steps, by their count; this partition has none to remember."""
    made: list[LocalModule] = []

    class Kept(LocalModule):
        def __init__(self, parts: Any) -> None:
            super().__init__(parts)
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_trainer, "LocalModule", Kept)
        estimator("mlp").fit(*MODULES["mlp"][2])
    local = made[0]
    model, _ = local.unload()
    assert model.optimiser.moments.any() and model.buffers.largest.any()
    forgotten = OptimiserState(np.empty(0, np.float32), np.empty(0))
    local.load(Model(model.parameters, forgotten, Buffers(np.zeros(0), model.buffers.largest)))
    again, _ = local.unload()
    assert not again.optimiser.moments.any()
    np.testing.assert_array_equal(again.buffers.largest, model.buffers.largest)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("instance", [False, True])
def test_what_a_criterion_holds_is_where_the_module_is(instance: bool, weighted: bool) -> None:
    made: list[Any] = []

    class Elsewhere(LocalModule):
        def __init__(self, parts: Any) -> None:
            super().__init__(parts)
            made.append(LocalModule(replace(copy.deepcopy(parts), device="meta")))

    criterion: dict[str, Any] = {"criterion__weight": torch.tensor([1.0, 2.0])}
    if instance:
        criterion = {"criterion": torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0]))}
    weights = np.ones(len(ROWS)) if weighted else None
    labels = (NUMBERS > 0).astype(int)
    model = TorchClassifier(torch.nn.Linear(5, 2), optimizer="sgd", random_state=0, **criterion)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_trainer, "LocalModule", Elsewhere)
        model.fit(ROWS, labels, weights)
    (local,) = made
    loss = local.parts.loss
    held = [each.weight.device.type for each in (local.module, loss.criterion, loss.each)]
    assert held == ["meta"] * 3
    X, y = torch.empty(3, 5, device="meta"), torch.empty(3, dtype=torch.int64, device="meta")
    assert local.parts.scores(local.module, (X, y), 3)["accuracy"][0].device.type == "meta"
    assert loss(local.module, (X, y)).device.type == "meta"


class Greedy(torch.nn.Module):
    """Finds no memory where it is trained; where it is tried, there is some."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(5, 1)

    def forward(self, X: Any) -> Any:
        if len(X) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return self.linear(X)[:, 0]


def test_out_of_memory_says_what_needs_less() -> None:
    model = TorchEstimator(Greedy, loss=squares, random_state=0)
    with pytest.raises(torch.OutOfMemoryError, match="20 GiB") as found:
        model.fit(ROWS, NUMBERS)
    (note,) = [note for note in found.value.__notes__ if "partition 0" in note]
    assert "a smaller batch_size, or accumulate=" in note
