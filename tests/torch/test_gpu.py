"""With a GPU: `pytest -m gpu`. Skipped where PyTorch finds none.

What travels to a device and back is tested without one, in `test_device.py`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchEstimator
from daskml_exec.torch._workers import device_on
from tests.torch.networks import MODULES, NUMBERS, ROWS, bits, estimator, samples, squares

pytestmark = pytest.mark.gpu("torch")


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(processes=False, n_workers=1) as executor:
        yield executor


# Of the CPU and of the GPU the random numbers differ: what drops out does, too.
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"compression": "topk:0.3", "optimizer_state": "local"},
        {"optimizer": "sgd", "clip_norm": 0.5, "accumulate": 2},
        {"validation_fraction": 0.2, "outer": "nesterov"},
    ],
    ids=["plain", "codec", "accumulated", "scored"],
)
def test_what_the_cpu_gives(executor: Executor, arguments: dict[str, Any]) -> None:
    with executor:
        there = estimator("mlp", device="cuda", **arguments).fit(*samples("mlp"))
        here = estimator("mlp", device="cpu", **arguments).fit(*samples("mlp"))
    for name, value in here.state_dict_.items():
        torch.testing.assert_close(there.state_dict_[name], value, rtol=1e-3, atol=1e-4)
    assert there.loss_curve_ == pytest.approx(here.loss_curve_, rel=1e-3)


def test_stages_score_what_is_held_out(executor: Executor) -> None:
    arguments: dict[str, Any] = {"validation_fraction": 0.2, "tol": 0.0, "max_epochs": 4}
    arguments |= {"parallel": "pipeline", "stages": 2, "rows_least": None, "sync_every": "auto"}
    module = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0))
    found = []
    with executor:
        for device in ("cuda", "cpu"):
            model = estimator("mlp", device=device, **arguments).set_params(module=module)
            found.append(model.fit(*samples("mlp")))
    there, here = found
    assert there.validation_scores_ == pytest.approx(here.validation_scores_, rel=1e-3)
    for name, value in here.state_dict_.items():
        torch.testing.assert_close(there.state_dict_[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_same_bits_on_one_worker_and_on_two(name: str) -> None:
    found = []
    for n_workers in (1, 2):
        with Executor(processes=False, n_workers=n_workers):
            found.append(bits(estimator(name, device="cuda").fit(*samples(name))))
    assert found[0] == found[1]


def test_auto_takes_it_and_never_shares_it(executor: Executor) -> None:
    assert device_on(executor, "auto") == "auto"
    with (
        Executor(processes=False, n_workers=2) as two,
        pytest.raises(ValueError, match="would share the GPU"),
    ):
        device_on(two, "auto")


def test_one_copy_each_way_in_a_round() -> None:
    """By what CUDA itself reports."""
    arguments = {"device": "cuda", "max_epochs": 1}
    estimator("mlp", **arguments).fit(*MODULES["mlp"][2])  # what is loaded once is loaded
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    counts = []
    for epochs in (2, 6):
        with torch.profiler.profile(activities=activities) as profile:
            estimator("mlp", **arguments | {"max_epochs": epochs}).fit(*MODULES["mlp"][2])
        names = [event.name for event in profile.events()]
        counts.append([sum(way in name for name in names) for way in ("HtoD", "DtoH")])
    (few_in, few_out), (many_in, many_out) = counts
    assert (many_in - few_in, many_out - few_out) == (4, 4)


class Greedy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 1)

    def forward(self, X: Any) -> Any:
        if X.is_cuda:
            torch.empty(1 << 50, dtype=torch.uint8, device=X.device)
        return self.linear(X)[:, 0]


def test_out_of_memory_says_what_needs_less() -> None:
    model = TorchEstimator(Greedy, loss=squares, device="cuda", random_state=0)
    with pytest.raises(torch.OutOfMemoryError) as found:
        model.fit(ROWS, NUMBERS)
    (note,) = [note for note in found.value.__notes__ if "partition 0" in note]
    assert "a smaller batch_size, or accumulate=" in note


@pytest.mark.parametrize("amp", ["bfloat16", "float16"])
def test_in_a_shorter_dtype(amp: str) -> None:
    model = estimator("cnn", device="cuda", amp=amp, max_epochs=10).fit(*MODULES["cnn"][2])
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_curve_[-1] < model.loss_curve_[0]
