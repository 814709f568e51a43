"""Scenes are what their masks and boxes say, and the same in any partition."""

import numpy as np
import pytest

from scenes.compose import COVERED, ITEM_PIXELS, MOST, compose, mirrored
from scenes.items import DEBIAN, Items, clothes, clothes_or_digits, digits

N = 60


@pytest.fixture(scope="module")
def scenes():
    return compose(digits("train"), range(N))


def tight_box(mask):
    down, right = np.nonzero(mask)
    return [right.min(), down.min(), right.max() + 1, down.max() + 1]


def test_shapes(scenes):
    assert {name: (each.shape[1:], each.dtype.name) for name, each in scenes.items()} == {
        "image": ((1, 64, 64), "uint8"),
        "mask": ((64, 64), "uint8"),
        "boxes": ((4, 4), "float32"),
        "labels": ((4,), "uint8"),
        "count": ((), "uint8"),
    }
    assert set(scenes["count"]) == set(range(1, MOST + 1))


def test_masks_are_the_pixels_of_items(scenes):
    assert np.array_equal(scenes["mask"] > 0, scenes["image"][:, 0] > ITEM_PIXELS)
    for mask, labels, count in zip(scenes["mask"], scenes["labels"], scenes["count"], strict=True):
        assert set(mask.ravel()) - {0} == set(labels[:count] + 1)
        assert not labels[count:].any()


def test_boxes_hold_their_item_and_no_more(scenes):
    """Of labels that are there once: the mask alone tells which pixels are whose."""
    n_compared = 0
    for mask, boxes, labels, count in zip(
        *(scenes[name] for name in ("mask", "boxes", "labels", "count")), strict=True
    ):
        assert not boxes[count:].any()
        for box, label in zip(boxes[:count], labels[:count], strict=True):
            if (labels[:count] == label).sum() == 1:
                assert box.tolist() == tight_box(mask == label + 1)
                n_compared += 1
    assert n_compared > N


def test_items_cover_little_of_each_other():
    """Squares of many sizes, each with a label of its own."""
    squares = Items(np.full((200, 28, 28), 255, np.uint8), np.arange(200, dtype=np.uint8), ())
    scenes = compose(squares, range(N))
    shares, n_touching = [], 0
    for mask, labels, count in zip(scenes["mask"], scenes["labels"], scenes["count"], strict=True):
        for label in labels[:count]:
            left, top, right, bottom = tight_box(mask == label + 1)
            shares.append((mask == label + 1).sum() / ((right - left) * (bottom - top)))
        n_touching += count > 1
    assert min(shares) > 1 - COVERED
    assert min(shares) < 1 and n_touching  # some do overlap


def test_a_scene_does_not_depend_on_those_before_it(scenes):
    some = compose(digits("train"), range(20, 30))
    for name, each in some.items():
        assert np.array_equal(each, scenes[name][20:30])
    others = compose(digits("train"), range(20, 30), seed=1)
    assert not np.array_equal(others["image"], some["image"])


class TestMirrored:
    def test_twice_is_as_it_was(self, scenes):
        turned = 0
        for i in range(20):
            scene = {name: each[i] for name, each in scenes.items()}
            once = mirrored(scene, np.random.default_rng(i))
            twice = mirrored(once, np.random.default_rng(i))
            turned += once is not scene
            for name, each in scene.items():
                assert np.array_equal(twice[name], each)
                assert once[name].shape == each.shape and once[name].dtype == each.dtype
        assert 5 <= turned <= 15

    def test_boxes_hold_their_item(self, scenes):
        for i in range(20):
            scene = mirrored(
                {name: each[i] for name, each in scenes.items()}, np.random.default_rng(i)
            )
            if scene["count"] == 1:
                assert scene["boxes"][0].tolist() == tight_box(scene["mask"])
                assert not scene["boxes"][1:].any()


class TestItems:
    def test_digits_for_training_are_others_than_for_tests(self):
        parts = [digits(part) for part in ("train", "t10k")]
        assert [len(part.labels) for part in parts] == [1397, 400]
        assert parts[0].pixels.shape[1:] == (24, 24) and len(parts[0].names) == 10

    def test_some_kinds(self):
        all_kinds, some = digits("t10k"), digits("t10k").only([7, 2])
        assert some.names == ("7", "2")
        for label, kind in enumerate([7, 2]):
            expected = all_kinds.pixels[all_kinds.labels == kind]
            assert np.array_equal(some.pixels[some.labels == label], expected)
        assert len(some.labels) == np.isin(all_kinds.labels, [7, 2]).sum()

    def test_digits_where_there_are_no_clothes(self, tmp_path):
        found = clothes_or_digits("t10k", tmp_path / "nowhere")
        assert np.array_equal(found.labels, digits("t10k").labels)

    @pytest.mark.skipif(not DEBIAN.is_dir(), reason="apt-get install dataset-fashion-mnist")
    def test_clothes(self):
        found = clothes(DEBIAN, "t10k")
        assert found.pixels.shape == (10_000, 28, 28)
        assert np.array_equal(np.bincount(found.labels), np.full(10, 1000))
        assert found.names[found.labels[0]] == "boot"
