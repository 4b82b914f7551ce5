import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.records import read_record


@dataclass(frozen=True)
class Inner:
    side: int
    kind: Literal["letterbox", "center_crop"] = "letterbox"


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    rate: float = 0.5
    patience: int | None = None
    on: bool = False
    names: tuple[str, ...] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)


INNERS = st.builds(
    Inner, side=st.integers(-(2**40), 2**40), kind=st.sampled_from(["letterbox", "center_crop"])
)
NUMBERS = st.integers(0, 99)
OUTERS = st.builds(
    Outer,
    name=st.text(),
    inner=INNERS,
    rate=st.floats(-1e9, 1e9),
    patience=st.none() | NUMBERS,
    on=st.booleans(),
    names=st.lists(st.text()).map(tuple),
    counts=st.dictionaries(st.text(), st.dictionaries(st.text(), NUMBERS)),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)


@given(OUTERS)
def test_record_is_read_as_it_was_written(record: Outer) -> None:
    assert read_record(Outer, json.loads(json.dumps(dataclasses.asdict(record)))) == record


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"name": 5}, "name: got 5, expected a text", id="text"),
        pytest.param({"rate": True}, "rate: got True, expected a number", id="bool is no number"),
        pytest.param({"rate": float("nan")}, "rate: got nan, expected a number", id="nan"),
        pytest.param({"rate": float("-inf")}, "rate: got -inf, expected a number", id="infinite"),
        pytest.param({"patience": 1.0}, "patience: got 1.0, expected a whole number", id="whole"),
        pytest.param({"patience": 2**60}, "patience: got .*, expected a whole", id="too large"),
        pytest.param({"on": 1}, "on: got 1, expected true or false", id="number is no bool"),
        pytest.param({"names": "ab"}, "names: got 'ab', expected a list of texts", id="list"),
        pytest.param({"names": ["a", 1]}, "names: got 1, expected a text", id="item"),
        pytest.param({"counts": {"test": {"n": "x"}}}, "counts.test.n: got 'x'", id="nested"),
        pytest.param({"counts": []}, r"counts: got \[\], expected names and values", id="dict"),
        pytest.param({"inner": {}}, "inner.side: missing", id="missing"),
        pytest.param({"inner": 3}, "inner: got 3, expected names and values", id="no record"),
        pytest.param(
            {"inner": {"side": 1, "kind": "x"}},
            "inner.kind: got 'x', expected one of letterbox, center_crop",
            id="choice",
        ),
        pytest.param({"further": 1}, "further: unknown, expected one of name, ", id="unknown"),
    ],
)
def test_other_values_are_refused_by_their_names(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}"):
        read_record(Outer, {"name": "a", "inner": {"side": 1}} | changes)


@given(st.dictionaries(st.sampled_from([f.name for f in dataclasses.fields(Outer)]), JSON))
def test_any_values_make_a_record_or_a_value_error(values: dict[str, Any]) -> None:
    try:
        record = read_record(Outer, values)
    except ValueError:
        return
    assert isinstance(record.name, str)
    assert isinstance(record.inner, Inner)
