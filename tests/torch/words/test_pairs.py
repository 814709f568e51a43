"""Pairs of texts: numbers in words, names by gettext, and their ids."""

import struct

import numpy as np
import pytest

from words.pairs import (
    BEGIN,
    END,
    LONGEST,
    PADDING,
    as_samples,
    as_text,
    french_names,
    french_numbers,
    in_english,
    in_french,
    split,
)


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [
        (0, "zero", "zéro"),
        (21, "twenty-one", "vingt et un"),
        (70, "seventy", "soixante-dix"),
        (71, "seventy-one", "soixante et onze"),
        (77, "seventy-seven", "soixante-dix-sept"),
        (80, "eighty", "quatre-vingts"),
        (81, "eighty-one", "quatre-vingt-un"),
        (91, "ninety-one", "quatre-vingt-onze"),
        (100, "one hundred", "cent"),
        (101, "one hundred and one", "cent un"),
        (280, "two hundred and eighty", "deux cent quatre-vingts"),
        (300, "three hundred", "trois cents"),
        (961, "nine hundred and sixty-one", "neuf cent soixante et un"),
    ],
)
def test_numbers(number, english, french):
    assert (in_english(number), in_french(number)) == (english, french)


def test_all_numbers_have_names_of_their_own_and_room():
    numbers = french_numbers(1000)
    assert len(numbers) == len(set(numbers.values())) == 1000
    samples = as_samples(numbers)
    assert [as_text(ids) for ids in samples["source"]] == list(numbers)
    assert [as_text(ids[1:]) for ids in samples["target"]] == list(numbers.values())


def test_samples():
    samples = as_samples({"a": "é"})
    assert samples["source"].shape == (1, LONGEST + 1)
    assert samples["target"].shape == (1, LONGEST + 2)
    assert samples["source"][0, :3].tolist() == [3 + 97, END, PADDING]
    assert samples["target"][0, :5].tolist() == [BEGIN, 3 + 0xC3, 3 + 0xA9, END, PADDING]


def test_a_text_without_room():
    with pytest.raises(ValueError, match="a text has 51 ids; allowed are 41 at most"):
        as_samples({"x" * 50: "y"})


def test_a_text_that_does_not_end_or_is_no_utf8():
    assert as_text(np.array([3 + 97, 3 + 98])) == "ab"
    assert as_text(np.array([3 + 97, 3 + 0xC3, END, 3 + 98])) == "a\ufffd"


def test_no_source_in_both():
    numbers = french_numbers(100)
    train, test = split(numbers, 30)
    assert len(test) == 30 and not set(train) & set(test)
    assert {**train, **test} == numbers


@pytest.mark.parametrize("n_test", [0, 5])
def test_parts_have_some(n_test):
    with pytest.raises(ValueError, match=f"n_test is {n_test}; allowed is 1 to 4"):
        split(french_numbers(5), n_test)


def test_names_of_catalogues(tmp_path):
    write(tmp_path / "iso_639-3.mo", {"": "Content-Type: text/plain; charset=UTF-8\n", "Ab": "ab"})
    names = {"Ab": "other", "Same": "Same", "Zulu": "zoulou", "x" * 50: "y", "Bé": "bé"}
    write(tmp_path / "iso_639-5.mo", {"": "Content-Type: text/plain; charset=UTF-8\n", **names})
    write(tmp_path / "other.mo", {"No": "non"})
    assert french_names(tmp_path) == {"Ab": "ab", "Zulu": "zoulou", "Bé": "bé"}


def write(path, texts):
    """Write a catalogue of gettext's: a header, where each text is, and the texts."""
    sources = sorted(text.encode() for text in texts)
    encoded = {source: texts[source.decode()].encode() for source in sources}
    every = [*sources, *(encoded[source] for source in sources)]
    n, where, places = len(sources), 28 + 16 * len(sources), b""
    for text in every:
        places += struct.pack("<II", len(text), where)
        where += len(text) + 1
    header = struct.pack("<7I", 0x950412DE, 0, n, 28, 28 + 8 * n, 0, 0)
    path.write_bytes(header + places + b"".join(text + b"\0" for text in every))
