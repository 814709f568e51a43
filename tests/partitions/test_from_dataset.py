"""Samples of a dataset that has a length and items, as torch's map-style ones have."""

import threading
import traceback
from functools import partial

import numpy as np
import pytest

from daskml_exec.partitions import from_dataset, load_samples


class Images:
    """Stands in for a Dataset of torch."""

    def __init__(self, n=7, item=None, fails_at=None):
        self.n, self.item, self.fails_at = n, item, fails_at

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i == self.fails_at:
            raise KeyError("no such image")
        return (np.full((2, 2), i, dtype=np.uint8), i) if self.item is None else self.item(i)


class Stream:
    """Stands in for an IterableDataset."""

    def __iter__(self):
        yield 1


class Tensor:
    """What of a tensor is used."""

    def __init__(self, values):
        self.values, self.dtype = values, values.dtype
        self.device = type("device", (), {"type": "cpu"})

    def detach(self):
        return self

    def numpy(self):
        return self.values


def of_tensors(i):
    return {"image": Tensor(np.ones(3, np.float32)), "boxes": (i, [0.5, i]), "ok": i > 2}


def pieces_of(data, executor):
    if executor is None:
        return data.partitions.partitions
    return executor.client.gather(list(data.partitions.futures))


@pytest.fixture(params=["cluster", "memory"])
def where(request, executor):
    return executor if request.param == "cluster" else None


def test_items_that_are_pairs_give_X_and_y(where):
    data = load_samples(from_dataset(Images, 3), executor=where)
    pieces = pieces_of(data, where)
    assert data.rows == (2, 2, 3)
    assert [piece.start for piece in pieces] == [0, 2, 4]
    assert np.concatenate([piece.y for piece in pieces]).tolist() == list(range(7))
    assert pieces[2].X.shape == (3, 2, 2) and pieces[2].X.dtype == np.uint8
    assert pieces[2].X[:, 0, 0].tolist() == [4, 5, 6]
    assert "7 samples of X uint8[2, 2], y int64 in 3 partitions" in repr(data)
    data.release()


def test_items_that_are_other_trees_give_X_alone(where):
    make = partial(Images, 4, of_tensors)
    data = load_samples(from_dataset(make, 2), [1, 0, 1, 0], [1, 2, 3, 4], executor=where)
    first, second = pieces_of(data, where)
    assert first.X["image"].dtype == np.float32 and first.X["image"].shape == (2, 3)
    assert second.X["boxes"][0].tolist() == [2, 3]
    assert second.X["boxes"][1].tolist() == [[0.5, 2], [0.5, 3]]
    assert second.X["ok"].tolist() == [False, True]
    assert second.y.tolist() == [1, 0] and second.sample_weight.tolist() == [3, 4]
    data.release()


def test_items_of_scalars_of_numpy(where):
    """What indexing an array of labels gives."""
    labels = np.array([3, 1, 2, 0])
    make = partial(Images, 4, lambda i: (np.float32(i), labels[i]))
    data = load_samples(from_dataset(make, 2), executor=where)
    pieces = pieces_of(data, where)
    assert np.concatenate([piece.X for piece in pieces]).tolist() == [0, 1, 2, 3]
    assert pieces[0].X.dtype == np.float32
    assert np.concatenate([piece.y for piece in pieces]).tolist() == [3, 1, 2, 0]
    data.release()


def test_fewer_samples_than_partitions(where):
    data = load_samples(from_dataset(partial(Images, 2), 5), executor=where)
    pieces = pieces_of(data, where)
    assert data.rows == (0, 0, 1, 0, 1)
    assert pieces[0].X.shape == (0, 2, 2) and pieces[0].X.dtype == np.uint8
    assert pieces[0].y.shape == (0,)
    data.release()


def counted():
    _calls.append(1)
    return Images()


_calls: list[int] = []


def test_make_is_called_once_in_each_task(executor):
    _calls.clear()
    # By reference: the Workers of this cluster are threads of this process.
    with load_samples(from_dataset(counted, 3), executor=executor) as data:
        assert data.n_partitions == len(_calls) == 3


@pytest.mark.parametrize(
    ("make", "error", "message", "note"),
    [
        (partial(Images, fails_at=5), KeyError, "no such image", "raised by sample 5 of"),
        (partial(int, "seven"), ValueError, "invalid literal", "raised by make"),
        (Stream, TypeError, "make returned a Stream, which has no length or no items", ""),
        (
            partial(Images, 4, lambda i: np.ones(1 + (i > 2))),
            ValueError,
            r"item has shape \(2,\) in sample 3 of the dataset that make returned, and \(1,\) in",
            "",
        ),
        (
            partial(Images, 4, lambda i: {"a": i} if i < 3 else {"b": i}),
            ValueError,
            r"has X\['b'\]|has item\['b'\]",
            "",
        ),
        (partial(Images, 4, str), TypeError, "item is of str; allowed are", "in sample 0 of"),
        (partial(Images, 0), ValueError, "X has 0 rows", ""),
    ],
)
def test_what_is_wrong_is_said_once(where, make, error, message, note):
    with pytest.raises(error, match=message) as raised:
        load_samples(from_dataset(make, 2), executor=where)
    assert note in " ".join(getattr(raised.value, "__notes__", ()))
    if note.startswith("raised by sample"):
        frames = "".join(traceback.format_tb(raised.value.__traceback__))
        assert frames.count("raise KeyError") == 1
        assert len(raised.value.__notes__) == 1


def test_two_targets_are_refused(where):
    with pytest.raises(ValueError, match="y is given, and the items of from_dataset are pairs"):
        load_samples(from_dataset(Images, 2), np.arange(7), executor=where)


def test_samples_that_are_pairs_in_some_partitions_are_refused(executor):
    make = partial(Images, 4, lambda i: (i, i) if i < 2 else i)
    with pytest.raises(ValueError, match="y in partition 0, and none in partition 1"):
        load_samples(from_dataset(make, 2), executor=executor)


def test_arguments():
    for n, error in ((0, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"n_partitions={n}; allowed are integers from 1"):
            from_dataset(Images, n)
    with pytest.raises(TypeError, match="make is of Images; allowed are functions"):
        from_dataset(Images(), 2)
    with pytest.raises(TypeError, match=r"X\['a'\] is of from_dataset"):
        load_samples({"a": from_dataset(Images, 2)})


def test_what_cannot_travel_is_refused(executor):
    lock = threading.Lock()
    with pytest.raises(TypeError, match="make cannot be pickled"):
        load_samples(from_dataset(lambda: lock, 2), executor=executor)


def test_datasets_of_torch(where):
    torch = pytest.importorskip("torch")
    from torch.utils.data import IterableDataset, TensorDataset

    def make():
        return TensorDataset(torch.ones(5, 3, dtype=torch.uint8), torch.arange(5))

    data = load_samples(from_dataset(make, 2), executor=where)
    assert [piece.y.tolist() for piece in pieces_of(data, where)] == [[0, 1], [2, 3, 4]]
    assert data.like.X.dtype == np.uint8 and data.like.X.shape == (0, 3)
    data.release()

    class Words(IterableDataset):
        def __iter__(self):
            yield 1

    with pytest.raises(TypeError, match="make returned a Words, which has no length or no items"):
        load_samples(from_dataset(Words, 2), executor=where)


def test_it_is_shown_in_short():
    shown = "DatasetSamples: of Images, not read yet, in "
    assert repr(from_dataset(partial(Images, 4, of_tensors), 2)) == shown + "2 partitions"
    assert repr(from_dataset(Images, 1)) == shown + "1 partition"
