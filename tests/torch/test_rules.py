"""What is averaged, what counts, and what has no weight: rules that single cases have broken."""

import dask
import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec.torch import TorchEstimator, TorchRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X @ np.array([1.0, 2.0, 3.0, 4.0]) + 1).astype(np.float32)


class Scaled(nn.Module):
    """With a parameter that is a single number, as a temperature is."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1, dtype=dtype)
        self.scale = nn.Parameter(torch.tensor(1.0, dtype=dtype))

    def forward(self, X):
        return self.linear(X) * self.scale


class Drawing(nn.Module):
    """Draws random numbers for more than two samples, of which a first try knows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def forward(self, X):
        if self.training and len(X) > 2:
            X = X + torch.randn_like(X)
        return self.linear(X)


def linear() -> nn.Module:
    return nn.Linear(4, 1)


def fitted(module, weights=None, *, cuts: int = 4, **arguments):
    size = -(-X.nbytes // cuts) + Y.nbytes + 8 * len(X)
    given = {"random_state": 0, "batch_size": 12, "rows_least": 4, "sync_every": 2}
    given = given | {"outer": "average"} | arguments
    with dask.config.set({"daskml-exec.partition-bytes": size // cuts}):
        return TorchRegressor(module, **given).fit(X, Y, weights)


def weights_of(model) -> np.ndarray:
    return np.concatenate([each.numpy().reshape(-1) for each in model.state_dict_.values()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_moments_of_a_single_number_are_moments(dtype, optimizer):
    more = {"optimizer__momentum": 0.9} if optimizer == "sgd" else {"optimizer__fused": False}
    model = fitted(Scaled, module__dtype=dtype, optimizer=optimizer, max_epochs=3, **more)
    assert model.history_.n_partitions > 1
    layout = model._layout
    assert layout.moments.names.count("scale") == (2 if optimizer == "adam" else 1)
    assert not set(layout.scalars.keys) - {"step"}


class Trail(torch.optim.SGD):
    """As SGD; remembers the last gradients, by a key with a slash."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    trail = self.state[parameter].get("gradients/last", 0.0)
                    self.state[parameter]["gradients/last"] = 0.5 * trail + parameter.grad
        return super().step(closure)


def test_keys_of_an_optimiser_are_its_own():
    model = fitted(linear, optimizer=Trail, max_epochs=2)
    assert model._layout.moments.owned == [
        ("weight", "gradients/last"),
        ("bias", "gradients/last"),
    ]
    assert model._remembered.model.optimiser.moments.all()


@pytest.mark.parametrize("optimizer", ["nadam", "asgd", "adam"])
def test_a_partition_without_samples_changes_nothing(optimizer):
    weights = np.ones(len(X), np.float32)
    weights[30:] = 0
    given = {"optimizer": optimizer, "batch_size": 1000, "sync_every": 1, "max_epochs": 3}
    with pytest.warns(UserWarning, match="batch_size=1000"):
        two = fitted(linear, weights, cuts=2, **given)
    with pytest.warns(UserWarning, match="batch_size=1000"):
        one = TorchRegressor(linear, random_state=0, outer="average", **given).fit(X[:30], Y[:30])
    assert two.history_.n_partitions > 1
    np.testing.assert_allclose(weights_of(two), weights_of(one), rtol=1e-5)


def test_the_smallest_scale_of_losses_counts():
    weights = np.ones(len(X), np.float32)
    weights[30:] = 0
    model = fitted(linear, weights, cuts=2, amp="float16", max_epochs=30, lr=0.1, sync_every=1)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    model = TorchRegressor(linear, amp="float16", random_state=0, max_epochs=2).fit(X, 1e3 * Y)
    assert model._remembered.model.buffers.largest[-2] > -65536  # gradients have overflowed once


@pytest.mark.parametrize("optimizer_state", ["local", "average"])
def test_training_goes_on_where_moments_have_gone_with_their_fit(optimizer_state):
    model = fitted(
        linear,
        optimizer="adam",
        optimizer_state=optimizer_state,
        max_epochs=9,
        callbacks=[lambda event: event.reached.done >= 4],
    )
    before = weights_of(model)
    with dask.config.set({"daskml-exec.partition-bytes": 400}):
        model.set_params(callbacks=None, sync_every=1, max_epochs=1).partial_fit(X[:12], Y[:12])
    # Adam's first steps are of the size of the rate, and so are those that follow.
    assert np.abs(weights_of(model) - before).max() > 0.8e-3


def test_samples_without_weight_score_nothing():
    weights = np.ones(len(X), np.float32)
    weights[::2] = 0
    model = fitted(
        linear, weights, batch_size=4, rows_least=1, validation_fraction=0.3, max_epochs=2
    )
    assert np.isfinite(model.validation_scores_).all()


@pytest.mark.parametrize("scores", [lambda module, batch: {}, lambda m, b: {"boxes": (0.0, 0.0)}])
def test_scores_of_nothing_are_no_divergence(scores):
    with pytest.raises(ValueError, match=r"validation_fraction=0.3 holds out no sample, or none"):
        fitted(linear, validation_fraction=0.3, scores=scores)


def test_what_a_module_draws_late_is_seeded_too():
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found.append(weights_of(fitted(Drawing, cuts=1)))
        torch.set_rng_state(state)
    assert np.array_equal(*found)


def test_a_schedule_ends_and_then_stays():
    def falling(step, total):
        return 1 - step / total

    model = TorchEstimator(linear, loss=squares, scheduler=falling, max_epochs=1, random_state=0)
    model.fit(X, Y)
    after = weights_of(model)
    assert np.array_equal(weights_of(model.partial_fit(X, Y)), after)


def squares(module, batch):
    X, y = batch
    return ((module(X)[:, 0] - y) ** 2).mean()
