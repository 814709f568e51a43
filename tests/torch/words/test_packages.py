"""Lines of packages and of sources, and how they are dealt."""

import subprocess

import numpy as np
import pytest

from words import packages

TOLD = """Package: zoo
Version: 2
Section: utils
Description: Keeps animals
 which are many

Package: abc
Description: Caf\u00e9
Section: libs

Package: zoo
Description: Keeps other animals
Section: utils

Package: without-section
Description: Nothing
"""


def test_lines_of_packages():
    assert packages.package_lines(TOLD) == ["abc (libs) Café", "zoo (utils) Keeps other animals"]


def test_ids_are_ascii():
    ids = packages.as_ids("Café\n")
    assert ids.dtype == np.uint8 and packages.as_text(ids) == "Caf?\n"
    assert ids.max() < packages.VOCABULARY


def test_texts_have_no_run_in_common():
    lines = [f"line {i}" for i in range(1000)]
    train, validation = (packages.as_text(each) for each in packages.dealt(lines, 0.1))
    told = train.splitlines(), validation.splitlines()
    assert sorted(told[0] + told[1]) == sorted(lines)
    assert len(told[1]) == 2 * packages.RUN  # of 25 runs
    starts = [int(line.split()[1]) for line in told[1][:: packages.RUN]]
    assert all(start % packages.RUN == 0 for start in starts)


def missing():
    raise FileNotFoundError("apt-cache")


def failing():
    raise subprocess.CalledProcessError(100, "apt-cache")


@pytest.mark.parametrize("found", [missing, failing, list])
def test_without_packages_python_is_the_text(found):
    assert packages.packages_or_sources(found) == packages.python_sources()


def test_packages_where_there_are_some():
    assert packages.packages_or_sources(lambda: ["abc"] * 3, least=3) == ["abc"] * 3
