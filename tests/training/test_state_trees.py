"""States as arrays and JSON, and back."""

import contextlib
import functools
import json
import math
import struct
from dataclasses import dataclass, field, make_dataclass
from enum import Enum, Flag, IntEnum
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from daskml_exec.training import check_state, state_from_arrays, state_to_arrays


class Phase(Enum):
    FIRST = "first"
    SECOND = 2
    ALSO_SECOND = 2


class Level(IntEnum):
    LOW = 1


class Rights(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Search:
    point: Any
    memory: Any = ()


@dataclass(frozen=True)
class Descent:
    search: Any
    n_iter: int = 0
    twice: int = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "twice", 2 * self.n_iter)


@dataclass
class Loose:
    value: int = 0


class Pair(NamedTuple):
    left: int
    right: int


STATES = (Search, Descent, Phase, Level)


def there_and_back(state, states=STATES):
    arrays, about = state_to_arrays(state, states)
    return state_from_arrays(arrays, json.loads(json.dumps(about, allow_nan=False)), states)


def same(a: Any, b: Any) -> bool:
    """Whether two states are the same to the bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return same((a.real, a.imag), (b.real, b.imag))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if sp.issparse(a):
        parts = ("data", "indices", "indptr")
        return a.shape == b.shape and all(same(getattr(a, p), getattr(b, p)) for p in parts)
    if isinstance(a, Search | Descent):
        return same(vars(a), vars(b))
    return bool(a == b)


DTYPES = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    npst.unicode_string_dtypes(endianness="?"),
    npst.datetime64_dtypes(endianness="?"),
    npst.timedelta64_dtypes(endianness="?"),
)
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, min_side=0, max_side=3)).flatmap(
    lambda a: st.sampled_from([a, np.asfortranarray(a), a[::-1] if a.ndim else a, a.T])
)
MATRICES = npst.arrays("f4", (3, 4)).flatmap(
    lambda a: st.sampled_from([sp.csr_matrix(a), sp.csr_array(a)])
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(),
    st.integers(),
    st.integers(min_value=2**80),
    st.floats(),
    st.complex_numbers(),
    st.sampled_from([*Phase, *Level]),
    DTYPES,
    ARRAYS,
    ARRAYS.filter(lambda a: a.size > 0).map(lambda a: a.reshape(-1)[0]),
    MATRICES,
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.just("__metadata__")), inner, max_size=3),
        st.builds(Search, inner, inner),
        st.builds(Descent, inner, st.integers()),
    ),
    max_leaves=8,
)


@given(TREES)
def test_every_tree_comes_back_to_the_bit(state):
    assert same(there_and_back(state), state)


@given(TREES)
def test_the_arrays_are_such_as_files_hold(state):
    arrays, _ = state_to_arrays(state, STATES)
    for name, array in arrays.items():
        assert name and name != "__metadata__"
        assert array.dtype.kind in "biuf" and array.dtype.newbyteorder("<") == array.dtype
        assert array.flags.c_contiguous


@given(TREES, st.data())
def test_what_was_changed_is_refused_or_read_but_nothing_else(state, data):
    """Never an error that is no ValueError, whatever has become of the JSON."""
    arrays, about = state_to_arrays(state, STATES)
    places = [
        (node, key)
        for node in nodes(about)
        for key in (node if isinstance(node, dict) else range(len(node)))
    ]
    node, key = data.draw(st.sampled_from(places))
    others = st.sampled_from([*nodes(about), "", 0, -1, 2.5, None, True, []])
    node[key] = data.draw(others)
    with contextlib.suppress(ValueError):  # of json.dumps, too, where it is a part of itself now
        state_from_arrays(arrays, json.loads(json.dumps(about)), STATES)


def nodes(tree):
    if isinstance(tree, dict | list):
        yield tree
        for each in tree.values() if isinstance(tree, dict) else tree:
            yield from nodes(each)


def test_names_are_read_at_a_glance():
    point, step = np.zeros(3), np.ones(2)
    state = Descent(Search(point, ({"step": step}, {"a b": step, "a.b": step})), 3)
    arrays, _ = state_to_arrays(state, STATES)
    assert list(arrays) == [
        "search.point",
        "search.memory[0].step",
        "search.memory[1]['a b']",
        "search.memory[1]['a.b']",
    ]
    assert list(state_to_arrays(point, ())[0]) == ["state"]


def test_the_fields_of_a_class_are_written_once():
    _, about = state_to_arrays((Search(1), Search(2), Phase.FIRST), STATES)
    assert about == {
        "fields": {"0": ["point", "memory"]},
        "tree": [{"state": [0, 1, []]}, {"state": [0, 2, []]}, {"enum": [2, "FIRST"]}],
    }


def test_an_array_that_is_there_twice():
    array = np.arange(3)
    arrays, about = state_to_arrays((array, array), ())
    assert len(arrays) == 2 and about["tree"][0]["array"] != about["tree"][1]["array"]
    assert same(there_and_back((array, array)), (array, array))


def test_nans_keep_their_bits():
    odd = struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0]
    again = there_and_back((odd, math.nan, -0.0, np.float32("nan")))
    assert same(again, (odd, math.nan, -0.0, np.float32("nan")))


def test_bfloat16_is_stored_as_integers():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    array = np.array([[1.5, -2.0], [np.nan, 0.0]], bfloat16)
    arrays, about = state_to_arrays(array, ())
    assert arrays["state"].dtype == np.uint16
    assert about["tree"] == {"array": "state", "dtype": "bfloat16", "shape": [2, 2]}
    state = (array, array[0, 0], array.dtype, np.asfortranarray(array), array[0, 0:0])
    assert same(there_and_back(state), state)


def nested(depth):
    return functools.reduce(lambda inner, _: (inner,), range(depth), 1)


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({1, 2}, "is a set; allowed are None, bool, int, float"),
        ([1], "is a list; allowed are"),
        ({1: 2}, "is a dict with the key 1, an int; allowed are"),
        (Loose(), "is of Loose, a dataclass that is not frozen; allowed are"),
        (np.array([None]), "is an array of dtype object; allowed are"),
        (np.zeros(2, "f8,i4"), r"is an array of dtype \[\('f0'"),
        (np.zeros(2, np.longdouble), "is an array of dtype float128; allowed"),
        (np.dtype(object), "is the dtype object; allowed are"),
        (np.ma.masked_array([1.0]), "is a numpy.ma.MaskedArray; allowed are"),
        (len, "is a builtin_function_or_method; allowed are"),
        (int, "is a type; allowed are"),
        (Search, "is a type; allowed are"),
        (b"", "is a bytes; allowed are"),
        (Pair(1, 2), r"is a .*test_state_trees.Pair; allowed are"),
        (sp.csc_matrix((2, 2)), "is a scipy.sparse._csc.csc_matrix; allowed are"),
        (Rights.READ, "is of Rights, a state class not declared: add it to `states`"),
        (make_dataclass("Other", [], frozen=True)(), "is of Other, a state class not declared"),
    ],
)
def test_what_is_refused_is_named_with_its_place(value, what):
    state = Descent(Search(np.zeros(2), (1, 2, value)))
    with pytest.raises(TypeError, match=rf"^state\.search\.memory\[2\] {what}"):
        check_state(state, STATES)


def test_several_members_of_a_flag_are_refused():
    assert there_and_back(Rights.READ, (Rights,)) is Rights.READ
    with pytest.raises(TypeError, match="which is no single member of its Enum"):
        check_state(Rights.READ | Rights.WRITE, (Rights,))


def test_what_goes_round_in_circles_is_refused():
    round_and_round = {}
    round_and_round["again"] = round_and_round
    with pytest.raises(TypeError, match=r"nested more than 100 deep, at \.again\.again"):
        check_state(round_and_round, ())
    assert there_and_back(nested(100)) == nested(100)
    tree = functools.reduce(lambda inner, _: [inner], range(101), 1)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        state_from_arrays({}, {"fields": {}, "tree": tree}, ())


@pytest.mark.parametrize("states", [(Loose,), (dict,), (Search(1),)])
def test_state_classes_are_frozen_dataclasses_and_enums(states):
    with pytest.raises(TypeError, match=r"states has .*allowed are frozen dataclasses and Enums"):
        check_state(1, states)


ONE = np.zeros(2)
ABOUT = {"array": "x", "dtype": "<f8", "shape": [2]}


@pytest.mark.parametrize(
    ("tree", "arrays", "message"),
    [
        (1, {"x": ONE}, "arrays that the state has no place for: x"),
        (ABOUT, {}, "state: there is no array 'x'"),
        ([ABOUT, ABOUT], {"x": ONE}, r"state\[1\]: there is no array 'x', or it was used before"),
        (ABOUT, {"x": ONE[:1]}, r"array 'x': it is stored as <f8 of shape \(1,\); float64 of shap"),
        (ABOUT, {"x": ONE.astype("f4")}, r"array 'x': it is stored as <f4 of shape \(2,\)"),
        (ABOUT | {"shape": [-2]}, {"x": ONE}, r"\[-2\] is no shape"),
        (ABOUT | {"dtype": "O"}, {"x": ONE}, "'O' is no dtype that a state may have"),
        (ABOUT | {"dtype": "<U1", "shape": []}, {"x": np.uint32([2**30])}, "are no characters"),
        ({"state": [9]}, {}, "state: there is no state class 9: `states` has 4"),
        ({"state": [True]}, {}, "there is no state class True"),
        ({"state": ["Search", 1]}, {}, "there is no state class 'Search'"),
        ({"state": [0, 1]}, {}, r"1 values for the fields \['point', 'memory'\] of Search"),
        ({"state": [1, 1]}, {}, "the fields of Descent were not kept"),
        ({"enum": [2, "THIRD"]}, {}, "Phase has no member 'THIRD'"),
        ({"enum": [0, "FIRST"]}, {}, "Search has no member 'FIRST'"),
        ({"dict": {"a": [{"int": "7"}]}}, {}, r"state\.a\[0\]: '7' is no hexadecimal integer"),
        ({"float": "1"}, {}, "'1' is not 'inf' or '-inf'"),
        ({"nan": "3ff0000000000000"}, {}, "are not the bits of a NaN"),
        ({"scalar": "00", "dtype": "<f8"}, {}, "'00' are 1 bytes in place of 8"),
        ({"pickle": "gASV"}, {}, "{'pickle': 'gASV'} is not what a state is written as"),
        (math.inf, {}, "inf is not what a state is written as"),
        ({"csr": 1}, {}, "these are not the parts of a CSR matrix"),
    ],
)
def test_what_does_not_fit_is_refused(tree, arrays, message):
    about = {"fields": {"0": ["point", "memory"]}, "tree": tree}
    with pytest.raises(ValueError, match=message):
        state_from_arrays(arrays, about, STATES)


def test_fields_must_be_those_of_the_class():
    for names in (["point"], ["memory", "point"], ["point", "memory", "more"], None):
        about = {"fields": {"0": names}, "tree": {"state": [0, 1, 2]}}
        with pytest.raises(ValueError, match=r"state class 0, Search, has the fields \['point', "):
            state_from_arrays({}, about, STATES)
    for index in ("4", "-1", "x", "²", "9" * 5000):
        with pytest.raises(ValueError, match="there is no state class"):
            state_from_arrays({}, {"fields": {index: []}, "tree": 1}, STATES)


def test_what_a_class_refuses_is_told():
    @dataclass(frozen=True)
    class Positive:
        value: int

        def __post_init__(self):
            if not self.value > 0:
                raise ValueError("allowed are numbers above 0")

    about = {"fields": {"0": ["value"]}, "tree": {"state": [0, -1]}}
    with pytest.raises(ValueError, match="Positive refused what was kept: allowed are numbers ab"):
        state_from_arrays({}, about, (Positive,))


def test_a_damaged_matrix_is_refused():
    arrays, about = state_to_arrays(sp.csr_array(np.eye(3)), ())
    arrays["indices"] = arrays["indices"] + 5
    with pytest.raises(ValueError, match="no CSR matrix: "):
        state_from_arrays(arrays, about, ())


def test_what_is_said_about_it_has_two_parts():
    for about in (None, {}, {"tree": 1}, {"fields": [], "tree": 1}):
        with pytest.raises(ValueError):
            state_from_arrays({}, about, ())
