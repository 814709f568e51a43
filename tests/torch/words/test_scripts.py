"""Both scripts of whole size run with few samples, and say how good each side is."""

import re

import pytest

from tests.conftest import ROOT
from tests.scripts import output_of
from words.pairs import CATALOGUES

pytestmark = pytest.mark.slow
SIDES = ("2 Workers, data", "2 Workers, pipeline", "one process")


def test_few_tokens():
    few = ["--tokens", "10000", "--layers", "1", "--width", "32"]
    output = output_of("tutorials/language_model_with_pytorch.py", *few, cwd=ROOT, timeout=250)
    for who in SIDES:
        assert re.search(rf"{who}: \d\.\d{{4}} nats, \d+ s\n\npython3-", output)
    for order in (3, 6):
        assert re.search(rf"counts of {order} bytes: \d\.\d{{4}} nats\n", output)


@pytest.mark.skipif(not (CATALOGUES / "iso_639-3.mo").is_file(), reason="apt-get install iso-codes")
def test_few_pairs():
    few = ["--pairs", "64", "--test-pairs", "8", "--epochs", "1", "--layers", "1"]
    ways = ["--width", "16", "--ways", "data", "pipeline", "loop"]
    command = ["tutorials/translation_with_pytorch.py", *few, *ways]
    output = output_of(*command, cwd=ROOT, timeout=250)
    assert re.search(r"64 pairs; 8 others as they are: chrF \d\d\.\d\d\n", output)
    for who in SIDES:
        assert re.search(rf"{who}: chrF \d+\.\d\d, \d+ s\n", output)
