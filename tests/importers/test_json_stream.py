"""JSON read item by item."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskinfer.errors import AnnotationError
from maskinfer.importers import json_stream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(), st.lists(VALUES.filter(lambda v: v is not None)) | st.integers()),
    st.integers(1, 9),
    st.sampled_from([None, 1]),
)
def test_items_are_those_of_the_whole_file(
    tmp_path_factory: Any, data: dict[str, Any], chunk: int, indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(data, indent=indent, ensure_ascii=False), encoding="utf-8")
    read: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)
        for key, value in json_stream.stream_items(path):
            if value is None:
                read[key] = []
            elif isinstance(read.get(key), list):
                read[key].append(value)
            else:
                read[key] = value
    assert read == data


def test_items_of_a_list_have_no_key(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(' [1, {"a": 2} ] \n')

    assert list(json_stream.stream_items(tmp_path / "a.json")) == [("", 1), ("", {"a": 2})]


@pytest.mark.parametrize("text", ["", "1", "[1", "[1] 2", '{"a" [1]}', "[1 2]", '{"a": [1}'])
def test_what_is_malformed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(AnnotationError, match="malformed JSON"):
        list(json_stream.stream_items(tmp_path / "a.json"))
