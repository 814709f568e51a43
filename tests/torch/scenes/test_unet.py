"""What a U-Net returns, what it learns from, and how it is judged."""

import numpy as np
import pytest
import torch

import segmentation_with_pytorch as segmentation
from tests.torch.scenes.few_scenes import Fixed, few_scenes

CLASSES = segmentation.CLASSES


@pytest.fixture(scope="module")
def scenes():
    return few_scenes(6)


def test_a_score_for_each_class_and_pixel(scenes):
    module = segmentation.unet(channels=4).eval()
    assert module(scenes["image"]).shape == (6, CLASSES, 64, 64)
    found = segmentation.find_masks(module, scenes)
    assert found.shape == (6, 64, 64) and found.dtype == torch.uint8


def test_each_level_comes_back(scenes):
    """The first level is the images: moved by one pixel, other outputs come."""
    module = segmentation.unet(channels=4).eval()
    *_, up, out = module
    levels = scenes["image"]
    for part in list(module)[:-2]:
        levels = part(levels)
    assert [each.shape[-1] for each in levels] == [64, 32]
    with torch.no_grad():
        found = out(up(levels))
        moved = out(up((levels[0].roll(1, dims=-1), levels[1])))
    assert not torch.equal(found, moved)


def test_the_loss_by_plain_numbers(scenes):
    torch.manual_seed(0)
    numbers = torch.randn(6, CLASSES, 64, 64, dtype=torch.float64)
    loss, weight = segmentation.pixel_loss(Fixed(numbers), scenes)
    mask, logs = scenes["mask"].numpy(), numbers.numpy()
    exact = np.log(np.exp(logs).sum(axis=1))
    chosen = np.take_along_axis(logs, mask[:, None].astype(int), axis=1)[:, 0]
    weights = np.where(mask == 0, 0.1, 1.0)
    assert float(weight) == pytest.approx(weights.sum(), rel=1e-5)
    assert float(loss.detach()) == pytest.approx(
        ((exact - chosen) * weights).sum() / weights.sum(), rel=1e-6
    )


def test_the_mean_is_over_items_without_the_ground():
    truth = np.array([[[0, 0, 1, 1, 2, 2]]])
    found = np.array([[[1, 1, 1, 1, 2, 0]]])
    assert segmentation.mean_iou(found, {"mask": truth}) == pytest.approx((1 / 2 + 1 / 2) / 2)
