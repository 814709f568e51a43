"""Training that goes on, in later calls and from files, and what each role goes on with."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from daskml_exec import Executor, open_model, save
from daskml_exec.executor import tuned
from daskml_exec.torch import TorchEstimator, TorchRegressor
from tests.tiers import each_pair
from tests.torch.networks import (
    CNN,
    GPT,
    IMAGES,
    LABELS,
    MLP,
    MODULES,
    NUMBERS,
    ROWS,
    bits,
    entropy,
    estimator,
    samples,
    squares,
)

pytestmark = pytest.mark.usefixtures("executor")


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


def without_chain(model: Any) -> dict[str, bytes]:
    """Return what is shown: a fit's last round is exact, that of partial_fit goes on."""
    kept = ("counted", "moments", "velocity")
    return {name: each for name, each in bits(model).items() if name not in kept}


@each_pair(
    name=list(MODULES),
    codec=[None, "fp16", "topk:0.3"],
    state=["average", "local", "reset"],
    outer=["average", "nesterov"],
)
def test_calls_are_epochs_of_one_fit(name: str, codec: Any, state: str, outer: str) -> None:
    arguments = {"compression": codec, "optimizer_state": state, "outer": outer}
    with tuned(exact_every=4):
        model = estimator(name, max_epochs=3, **arguments)
        for _ in range(3):
            model.partial_fit(*samples(name))
        whole = estimator(name, max_epochs=3, **arguments).fit(*samples(name))
    assert without_chain(model) == without_chain(whole)
    assert model.n_epochs_ == 3 and model.history_.n_partitions == 5


@pytest.mark.parametrize("name", MODULES)
def test_calls_with_one_partition(name: str) -> None:
    model = estimator(name, scheduler=halving)
    for _ in range(2):
        model.partial_fit(*MODULES[name][2])
    assert bits(model) == bits(estimator(name, scheduler=halving).fit(*MODULES[name][2]))


def halving(step: int, total: int) -> float:
    return 1 - step / (2 * total)


@pytest.mark.parametrize("name", ["cnn", "gpt"])
@pytest.mark.parametrize("kind", ["file", "pickle"])
def test_going_on_after_a_file_or_a_pickle(name: str, kind: str, tmp_path: Any) -> None:
    arguments = {"compression": "topk:0.3", "outer": "nesterov"}
    module, loss, _ = MODULES[name]
    model = estimator(name, **arguments).partial_fit(*samples(name))
    if kind == "pickle":
        other = pickle.loads(pickle.dumps(model))
    else:
        save(model, tmp_path / "model")
        other = open_model(tmp_path / "model", module=module, loss=loss)
    assert bits(other) == bits(model)
    for each in (model, other):
        each.partial_fit(*samples(name))
    assert bits(other) == bits(model)
    assert not other.module_.training


def test_an_open_model_needs_its_module(tmp_path: Any) -> None:
    save(estimator("mlp").fit(ROWS, NUMBERS), tmp_path / "model")
    with pytest.raises(ValueError, match="module"):
        open_model(tmp_path / "model")
    with pytest.raises(ValueError, match=r"'layers.0.weight' of shape \(7, 5\).*\(6, 5\)"):
        open_model(tmp_path / "model", module=MLP(7))
    with pytest.raises(ValueError, match=r"module=GPT has no 'layers.0.weight' among"):
        open_model(tmp_path / "model", module=GPT)
    opened = open_model(tmp_path / "model", module=MLP)
    assert isinstance(opened.module_, MLP)


def test_an_open_model_predicts_without_its_loss(tmp_path: Any) -> None:
    model = estimator("mlp").fit(ROWS, NUMBERS)
    save(model, tmp_path / "model")
    opened = open_model(tmp_path / "model", module=MLP)
    np.testing.assert_array_equal(opened.predict(ROWS), model.predict(ROWS))


def shifted(sample: Any, generator: np.random.Generator) -> Any:
    return sample + np.float32(generator.normal())


def last_layer(name: str) -> bool:
    return name.startswith("layers.2")


FUNCTIONS: dict[str, Any] = {
    "loss": squares,
    "scheduler": halving,
    "augment": shifted,
    "optimizer": torch.optim.RMSprop,
    "param_groups": lambda named: [{"params": list(named.values())}],
    "scores": lambda module, batch: {"mean": (module(batch[0]).sum(), len(batch[1]))},
    "trainable": last_layer,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_open_model_does_not_go_on_without_what_is_left_out(name: str, tmp_path: Any) -> None:
    rest = {"loss": squares, name: FUNCTIONS[name]}
    model = estimator("mlp").set_params(**rest).fit(ROWS, NUMBERS)
    save(model, tmp_path / "model")
    given = {key: value for key, value in rest.items() if key != name}
    given["module"] = model.module_  # with what is frozen, which files do not hold either
    opened = open_model(tmp_path / "model", **given)
    np.testing.assert_array_equal(opened.predict(ROWS), model.predict(ROWS))
    save(opened, tmp_path / "again")
    again = open_model(tmp_path / "again", **given)
    message = rf"{name} was a function.*allowed is it, given by set_params\({name}=\.\.\.\)"
    for other in (opened, again, clone(again), pickle.loads(pickle.dumps(again))):
        for train in (other.fit, other.partial_fit):
            with pytest.raises(ValueError, match=message):
                train(ROWS, NUMBERS)
    assert f"{name}=<not in the file>" in repr(again)
    for each in (model, again.set_params(**{name: FUNCTIONS[name]})):
        each.partial_fit(ROWS, NUMBERS)
    assert bits(again) == bits(model)


def test_a_score_by_what_is_left_out_of_a_file(tmp_path: Any) -> None:
    model = estimator("mlp").fit(ROWS, NUMBERS)
    save(model, tmp_path / "model")
    opened = open_model(tmp_path / "model", module=MLP)
    with pytest.raises(ValueError, match="loss was a function"):
        opened.score(ROWS, NUMBERS)
    assert opened.set_params(loss=squares).score(ROWS, NUMBERS) == model.score(ROWS, NUMBERS)


def test_a_file_of_default_functions_goes_on_without_them(tmp_path: Any) -> None:
    model = TorchRegressor(MLP, random_state=0).fit(ROWS, NUMBERS)
    save(model, tmp_path / "model")
    opened = open_model(tmp_path / "model", module=MLP)
    for each in (model, opened):
        each.partial_fit(ROWS, NUMBERS)
    np.testing.assert_array_equal(opened.predict(ROWS), model.predict(ROWS))
    save(model.set_params(criterion=nn.L1Loss), tmp_path / "model")
    with pytest.raises(ValueError, match="criterion was a function or a class"):
        open_model(tmp_path / "model", module=MLP).partial_fit(ROWS, NUMBERS)


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d(), nn.Linear(3, 1))

    def forward(self, X: Any) -> Any:
        return self.layers(X)[:, 0]


def test_lazy_modules_go_on_from_a_file(tmp_path: Any) -> None:
    model = TorchEstimator(Lazy, loss=squares, random_state=0).fit(ROWS, NUMBERS)
    save(model, tmp_path / "model")
    other = open_model(tmp_path / "model", module=Lazy, loss=squares)
    assert bits(other) == bits(model)
    for each in (model, other):
        each.partial_fit(ROWS, NUMBERS)
    assert bits(other) == bits(model)


def test_the_state_dict_loads_into_a_fresh_module() -> None:
    model = estimator("cnn").fit(*samples("cnn"))
    fresh = CNN()
    fresh.load_state_dict(model.state_dict_)
    assert type(model.module_) is CNN and not model.module_.training
    with torch.no_grad():
        expected = fresh.eval()(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_array_equal(model.predict(IMAGES), expected)


@pytest.mark.parametrize("name", ["cnn", "gpt"])
def test_a_warm_start_begins_with_the_weights_and_buffers(name: str) -> None:
    model = estimator(name, warm_start=True, max_epochs=1).fit(*samples(name))
    before = {key: each.clone() for key, each in model.state_dict_.items()}
    model.set_params(lr=0.0, optimizer="sgd", outer="average").fit(*samples(name))
    assert model.n_epochs_ == 1
    for key, each in model.state_dict_.items():
        if "num_batches" in key:
            assert each == 2 * before[key]
        elif "running" not in key:
            torch.testing.assert_close(each, before[key], rtol=1e-6, atol=1e-7)


class Roles(nn.Module):
    """Has a buffer of each kind, a frozen backbone of 4 MB, and a layer that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(5, 200_000).requires_grad_(False)
        self.head = nn.Linear(5, 1)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scale", torch.full((300_000,), 2.0), persistent=False)
        self.register_buffer("switch", torch.ones(400_000, dtype=torch.bool))

    def forward(self, X: Any) -> Any:
        if self.training:
            self.mean = self.mean + len(X)
            self.seen += len(X)
        return self.head(X)[:, 0] * self.scale[0]


@pytest.mark.parametrize("codec", [None, "topk:0.5"])
def test_roles(codec: Any) -> None:
    """Averages are by the partitions' rows: of 40, 30, 0, 50 and 24."""
    model = TorchEstimator(
        Roles,
        loss=squares,
        batch_size=10_000,
        sync_every=1,
        outer="nesterov",
        compression=codec,
        random_state=0,
        max_epochs=3,
    )
    with pytest.warns(UserWarning, match="batch_size=10000"):
        model.fit(*samples("mlp"))
    found = model.state_dict_
    expected = sum(n * n for n in (40, 30, 50, 24)) / 144
    torch.testing.assert_close(found["mean"], torch.full((3,), 3 * expected), rtol=1e-6, atol=0)
    assert found["seen"] == 3 * 50  # each round begins at the largest
    assert found["switch"].all() and (model.module_.scale == 2).all()
    first = built_backbone(model)
    assert torch.equal(found["backbone.weight"], first)
    for record in model.history_:
        assert record.nbytes < 100_000


def built_backbone(model: Any) -> torch.Tensor:
    """Return the frozen weights that the same seed makes."""
    model = TorchEstimator(Roles, loss=squares, random_state=0, max_epochs=1, batch_size=100)
    weights: torch.Tensor = model.fit(ROWS, NUMBERS).state_dict_["backbone.weight"]
    return weights


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3)])
def test_a_file_has_what_scikit_learns_random_state_is(random_state: Any, tmp_path: Any) -> None:
    model = estimator("mlp").set_params(random_state=random_state).fit(ROWS, NUMBERS)
    save(model, tmp_path / "model")
    other = open_model(tmp_path / "model", module=MLP, loss=squares)
    assert type(other.random_state) is type(random_state)
    if random_state is not None:
        assert other.random_state.randint(1000) == random_state.randint(1000)


def test_early_stopping_shows_the_best_and_goes_on_from_the_last() -> None:
    arguments = {"validation_fraction": 0.2, "tol": 0.0, "n_iter_no_change": 2, "lr": 0.3}
    model = estimator("cnn", max_epochs=12, **arguments).fit(*samples("cnn"))
    assert model.validation_scores_ is not None
    best = int(np.argmax(model.validation_scores_)) + 1
    until = estimator("cnn", max_epochs=best, **arguments).fit(*samples("cnn"))
    assert best < model.n_epochs_
    assert {k: v.numpy().tobytes() for k, v in model.state_dict_.items()} == {
        k: v.numpy().tobytes() for k, v in until.state_dict_.items()
    }


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_fit_that_is_stopped_leaves_all_as_it_was(error: type[BaseException]) -> None:
    model = estimator("cnn").fit(*samples("cnn"))
    before = dict(vars(model))
    weights = bits(model)

    def stop(event: Any) -> None:
        if event.record.round == 1:
            raise error("of the user")

    model.set_params(callbacks=[stop])
    for method in (model.fit, model.partial_fit):
        with pytest.raises(error, match="of the user"):
            method(*samples("cnn"))
        now = dict(vars(model)) | {"callbacks": before["callbacks"]}
        assert now.keys() == before.keys()
        assert all(now[name] is value for name, value in before.items())
    assert bits(model) == weights
    assert bits(model.set_params(callbacks=None).fit(*samples("cnn"))) == weights


def test_another_optimiser_does_not_go_on_but_starts_warm() -> None:
    model = estimator("mlp", warm_start=True).fit(ROWS, NUMBERS)
    model.set_params(optimizer="sgd")
    with pytest.raises(ValueError, match=r"optimizer='sgd' remembers other things .* warm_start"):
        model.partial_fit(ROWS, NUMBERS)
    assert model.fit(ROWS, NUMBERS).n_epochs_ == 2


def test_a_module_that_is_another_one_does_not_go_on() -> None:
    model = estimator("mlp").fit(ROWS, NUMBERS)
    model.set_params(module__width=7)
    with pytest.raises(ValueError, match="another one than in the last fit"):
        model.partial_fit(ROWS, NUMBERS)


def test_labels_and_images_train() -> None:
    """The task of the images can be learnt: what goes on here is training."""
    model = TorchEstimator(CNN, loss=entropy, random_state=0, max_epochs=20, lr=0.01)
    model.fit(IMAGES, LABELS)
    assert (model.predict(IMAGES).argmax(axis=1) == LABELS).mean() > 0.9
