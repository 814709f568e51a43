"""Predictions, lazily over collections: what the module makes of them in memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest
import torch
from torch import nn

from daskml_exec import Executor
from daskml_exec.torch import TorchClassifier, TorchEstimator, TorchRegressor, load_samples
from tests.torch.networks import CHUNKS, IMAGES, LABELS, NUMBERS, ROWS, TOKENS, lazy

N = len(ROWS)


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(processes=False, n_workers=2) as executor:
        yield executor


class Pair(NamedTuple):
    logits: Any
    hidden: Any


class Both(nn.Module):
    """Takes images and rows by name, and returns several tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(5, 3)
        self.images = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Dropout(0.5))

    def forward(self, image: Any, rows: Any) -> Any:
        hidden = self.rows(rows) + self.images(image.float() / 255)
        return {"pair": Pair(hidden.tanh(), hidden.double()), "shown": image[:, :, ::2] + 1}


def both_loss(module: Any, batch: Any) -> Any:
    X, y = batch
    found = module(**X) if isinstance(X, dict) else module(*X)
    return ((found["pair"].logits[:, 0] - y) ** 2).mean()


TREE = {"image": IMAGES, "rows": ROWS}


@pytest.fixture(scope="module")
def both() -> TorchEstimator:
    return TorchEstimator(Both, loss=both_loss, random_state=0).fit(TREE, NUMBERS)


def check(found: Any, expected: Any) -> None:
    (found,) = dask.compute(found)
    assert type(found["pair"]) is Pair
    for one, other in zip(
        [*found["pair"], found["shown"]], [*expected["pair"], expected["shown"]], strict=True
    ):
        assert one.dtype == other.dtype and one.shape == other.shape
        # Blocks of other lengths are summed in another order.
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def arrays_of(executor: Executor) -> Any:
    return dict(zip(TREE, lazy(*TREE.values()), strict=True))


def tuples_of(executor: Executor) -> Any:
    return tuple(lazy(*TREE.values()))


def bag_of(executor: Executor) -> Any:
    samples = [{"image": IMAGES[i], "rows": ROWS[i]} for i in range(N)]
    return db.from_sequence(samples, npartitions=4)


def futures_of(executor: Executor) -> Any:
    ends = np.cumsum(CHUNKS)[:-1]
    pieces = zip(np.split(IMAGES, ends), np.split(ROWS, ends), strict=True)
    return executor.client.scatter([{"image": i, "rows": r} for i, r in pieces], hash=False)


@pytest.mark.parametrize("source", [arrays_of, tuples_of, bag_of, futures_of])
def test_any_collection(executor: Executor, both: TorchEstimator, source: Any) -> None:
    with executor:
        result = both.predict(source(executor))
        assert isinstance(result["shown"], da.Array)
        assert result["shown"].shape[1:] == (1, 4, 8) and result["shown"].dtype == np.uint8
        check(result, both.predict(TREE))


def test_samples_that_were_loaded(executor: Executor, both: TorchEstimator) -> None:
    with executor:
        with load_samples(arrays_of(executor)) as data:
            result = both.predict(data)
        check(result, both.predict(TREE))


def test_samples_that_were_loaded_in_memory(both: TorchEstimator) -> None:
    with load_samples(TREE) as data:
        check(both.predict(data), both.predict(TREE))


def test_tensors(both: TorchEstimator) -> None:
    tensors = {name: torch.from_numpy(each) for name, each in TREE.items()}
    check(both.predict(tensors), both.predict(TREE))


def test_nothing_is_computed_for_the_meta(both: TorchEstimator) -> None:
    def never(block: Any) -> Any:
        raise AssertionError("computed")

    X = {name: each.map_blocks(never, meta=each._meta) for name, each in arrays_of(None).items()}  # type: ignore[arg-type]
    result = both.predict(X)
    assert result["pair"].logits.chunks == (CHUNKS, (3,))
    assert result["pair"].hidden.dtype == np.float64


class Counted(nn.Module):
    """Says in which process it was made of a pickle, and how often there."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 1)

    def forward(self, X: Any) -> Any:
        return self.linear(X)[:, 0] * 0 + Counted.made

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        Counted.made += 1


def squares(module: Any, batch: Any) -> Any:
    return ((module(batch[0]) - batch[1]) ** 2).mean()


def test_the_module_is_made_once_in_a_process(executor: Executor) -> None:
    model = TorchEstimator(Counted, loss=squares, random_state=0).fit(ROWS, NUMBERS)
    X = da.from_array(ROWS, chunks=(2, 5))
    with executor:
        model.predict(X[:2]).compute()
        before = Counted.made
        found = model.predict(X).compute()
    # In the call on one sample it may be made, too; two workers are two threads of one process.
    assert found.max() - before <= 3


def spelled(module: Any, X: Any) -> list[str]:
    """Return a text for each sample, of tokens that are chosen one by one."""
    texts = []
    for row in X.long():
        text = row[:3].tolist()
        for _ in range(3):
            text.append(int(module(torch.tensor([text])).argmax()))
        texts.append("".join(chr(97 + token) for token in text))
    return texts


class Next(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 4), nn.Linear(4, 11)

    def forward(self, X: Any) -> Any:
        return self.head(self.embedding(X).sum(dim=1))


def last_token(module: Any, X: Any) -> Any:
    X = X.long()
    return nn.functional.cross_entropy(module(X[:, :-1]), X[:, -1])


def test_texts_are_generated(executor: Executor) -> None:
    model = TorchEstimator(Next, loss=last_token, random_state=0).fit(TOKENS)
    here = model.map_samples(spelled, TOKENS)
    with executor:
        there = model.map_samples(spelled, *lazy(TOKENS))
        assert there.chunks == (CHUNKS,)
        assert there.compute().tolist() == list(here)
    assert all(len(text) == 6 for text in here)


def linear(n_features: int, n_outputs: int = 1) -> nn.Module:
    return nn.Linear(n_features, n_outputs)


def test_classifiers(executor: Executor) -> None:
    y = LABELS * 2 - 1
    model = TorchClassifier(linear, random_state=0, max_epochs=3).fit(ROWS, y)
    with executor:
        (X,) = lazy(ROWS)
        labels, shares = model.predict(X), model.predict_proba(X)
        assert labels.dtype == model.classes_.dtype and labels.chunks == (CHUNKS,)
        assert shares.dtype == np.float32 and shares.chunks == (CHUNKS, (2,))
        np.testing.assert_array_equal(labels.compute(), model.predict(ROWS))
        np.testing.assert_allclose(shares.compute(), model.predict_proba(ROWS), rtol=1e-5)
        np.testing.assert_allclose(shares.sum(axis=1).compute(), 1, rtol=1e-6)
        assert model.score(X, da.from_array(y, chunks=CHUNKS)) == pytest.approx(
            model.score(ROWS, y)
        )


@pytest.mark.parametrize("y", [NUMBERS, np.stack([NUMBERS, -NUMBERS], axis=1)], ids=["1-d", "2-d"])
def test_regressors(executor: Executor, y: Any) -> None:
    model = TorchRegressor(linear, random_state=0, max_epochs=3).fit(ROWS, y)
    with executor:
        (X,) = lazy(ROWS)
        found = model.predict(X)
        assert found.chunks == (CHUNKS, *((n,) for n in y.shape[1:]))
        np.testing.assert_allclose(found.compute(), model.predict(ROWS), rtol=1e-4, atol=1e-6)
        lazily = model.score(X, da.from_array(y, chunks=(CHUNKS, *y.shape[1:])))
        assert lazily == pytest.approx(model.score(ROWS, y))


def test_no_samples_at_all(both: TorchEstimator) -> None:
    found = both.predict({name: each[:0] for name, each in TREE.items()})
    assert found["shown"].shape == (0, 1, 4, 8) and found["pair"].logits.shape == (0, 3)


def test_long_inputs_go_through_in_pieces(both: TorchEstimator) -> None:
    """What comes of a sample does not depend on how many there are beside it."""
    many = {name: np.concatenate([each] * 5) for name, each in TREE.items()}
    found, expected = both.predict(many), both.predict(TREE)
    assert found["shown"].shape[0] == 5 * N
    np.testing.assert_array_equal(found["shown"][:N], expected["shown"])
    np.testing.assert_allclose(found["pair"].logits[-N:], expected["pair"].logits, rtol=1e-5)
