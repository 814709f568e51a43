"""The small Transformer: what it may look at, its loss, and what it writes."""

import math

import pytest
import torch

from words.pairs import BEGIN, END, LONGEST, PADDING, as_samples, as_text, french_numbers
from words.translator import translated, translation_loss, translator


@pytest.fixture
def module():
    torch.manual_seed(0)
    return translator(layers=2, width=16, heads=2).eval()


@pytest.fixture
def samples():
    pairs = list(french_numbers(1000).items())[::97]
    return {name: torch.from_numpy(each) for name, each in as_samples(dict(pairs)).items()}


def test_padding_changes_nothing(module, samples):
    """Neither of the source, nor of the batch: each sample alone has the scores that it has."""
    together = module((samples["source"], samples["target"]))
    for i, (source, target) in enumerate(zip(*samples.values(), strict=True)):
        n, m = (int((each != PADDING).sum()) for each in (source, target))
        alone = module((source[None, :n], target[None, :m]))
        torch.testing.assert_close(alone[0], together[i, :m])


def test_no_id_is_seen_before_its_turn(module, samples):
    changed = samples["target"].clone()
    changed[:, 5:] = END
    before, after = (module((samples["source"], each)) for each in (samples["target"], changed))
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


def test_the_source_is_seen(module, samples):
    mirrored = samples["source"].flip(0)
    target = samples["target"]
    assert not torch.equal(module((samples["source"], target)), module((mirrored, target)))


def test_the_loss_is_the_mean_over_ids_that_are_no_padding(module, samples):
    mean, weight = translation_loss(module, samples)
    target = samples["target"].long()
    chances = module((samples["source"], target[:, :-1])).log_softmax(dim=2)
    wanted = target[:, 1:]
    said = 0.9 * chances.gather(2, wanted[..., None])[..., 0] + 0.1 * chances.mean(dim=2)
    kept = wanted != PADDING
    assert int(weight) == int(kept.sum())
    assert math.isclose(mean.item(), -said[kept].mean().item(), rel_tol=1e-5)


def test_each_id_is_the_most_likely_one(module, samples):
    """Written one by one, by the whole module."""
    with torch.inference_mode():
        found = translated(module, {"source": samples["source"]})
        expected = [written_slowly(module, source) for source in samples["source"]]
    assert found == expected


def written_slowly(module, source):
    source = source[source != PADDING][None]
    ids = torch.tensor([[BEGIN]])
    while ids.shape[1] < LONGEST + 2 and ids[0, -1] != END:
        ids = torch.cat([ids, module((source, ids))[:, -1:].argmax(dim=2)], dim=1)
    return as_text(ids[0].numpy())
