"""Units stay from one segment to the next, and no longer."""

import pytest

from daskml_exec.executor.peers import PeersInterrupted
from daskml_exec.executor.peers._residents import Residents
from daskml_exec.executor.peers._runs import CLOSED, Run


def test_units_are_taken_as_they_were_put():
    residents, units = Residents(), {0: "block"}
    residents.put(Run("a", 1), 3, units)
    assert residents.take(Run("a", 1), 3) is units
    assert len(residents) == 0, "what fails meanwhile leaves nothing behind"


@pytest.mark.parametrize(("run", "position"), [(Run("a", 1), 2), (Run("a", 2), 3)])
def test_units_of_another_moment_are_refused(run, position):
    residents = Residents()
    residents.put(Run("a", 1), 3, {})
    with pytest.raises(PeersInterrupted, match="after 3 segments"):
        residents.take(run, position)


def test_no_units():
    with pytest.raises(PeersInterrupted, match="there are none"):
        Residents().take(Run("a", 1), 0)


def test_later_ones_replace_earlier_ones():
    residents = Residents()
    residents.put(Run("a", 1), 3, {0: "old"})
    residents.put(Run("a", 3), 2, {0: "new"})
    residents.put(Run("b", 1), 1, {0: "another"})
    assert len(residents) == 2
    assert residents.take(Run("a", 3), 2) == {0: "new"}


def test_the_end_of_generations():
    residents = Residents()
    residents.put(Run("a", 2), 3, {})
    residents.drop_before("a", 2)
    residents.drop_before("b", CLOSED)
    assert len(residents) == 1
    residents.drop_before("a", 3)
    assert len(residents) == 0
