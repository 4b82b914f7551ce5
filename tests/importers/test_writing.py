"""What `export-labels` writes, `import` reads back."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskinfer.data.dataset import Dataset
from maskinfer.data.labels import Face, Label, format_name
from maskinfer.data.side_lists import write_face_notes, write_other_faces
from maskinfer.errors import UsageError
from maskinfer.importers.importing import ImportSettings, import_annotations
from maskinfer.importers.writing import LabelsSettings, Tool, export_labels

_SIZE = (97, 61)


@st.composite
def _faces(draw: st.DrawFn) -> Face:
    x, y = draw(st.integers(0, _SIZE[0] - 1)), draw(st.integers(0, _SIZE[1] - 1))
    w, h = draw(st.integers(1, _SIZE[0] - x)), draw(st.integers(1, _SIZE[1] - y))
    proper = draw(st.booleans())
    return Face(
        (x, y, w, h), proper, None if proper else draw(st.sampled_from([True, False, None]))
    )


_PHOTOS = st.lists(
    st.lists(_faces(), min_size=1, max_size=4, unique_by=lambda face: face.box_xywh),
    min_size=2,
    max_size=3,
)


def _write(data: Path, photos: list[list[Face]]) -> None:
    named, others = [], []
    for index, (first, *rest) in enumerate(photos):
        split = "test" if index == 0 else "train"
        name = (
            f"{split}/{format_name(Label(f'{index}', first.box_xywh, first.proper_mask), '.png')}"
        )
        (data / split).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", _SIZE, (index, 0, 0)).save(data / name)
        named += [(name, face) for face in (first, *rest)]
        others += [(name, face) for face in rest]
    write_other_faces(data, others)
    write_face_notes(data, named)


def _known(data: Path) -> dict[tuple[str, object], frozenset[Face]]:
    dataset = Dataset(data)
    known = {}
    for sample in dataset.samples("test").samples:
        name = dataset.name_of(sample.path)
        with Image.open(sample.path) as image:
            pixel = image.getpixel((0, 0))
        faces = frozenset((sample.faces[0], *dataset.other_faces.get(name, ())))
        known[name.split("/")[0], pixel] = faces
    return known


@pytest.mark.parametrize("tool", ["voc", "yolo", "coco"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(photos=_PHOTOS)
def test_import_reads_the_same_faces_back(
    tmp_path_factory: pytest.TempPathFactory, tool: Tool, photos: list[list[Face]]
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    _write(folder / "data", photos)
    counts, left_out = export_labels(LabelsSettings(folder / "data", folder / tool, tool))
    assert (counts["test"], counts["train"], left_out) == (1, len(photos) - 1, [])
    import_annotations(ImportSettings(tool, folder / tool, folder / "again"))
    assert _known(folder / "again") == _known(folder / "data")


def test_copies_have_the_photos_own_names_and_no_two_the_same(tmp_path: Path) -> None:
    _write(tmp_path / "data", [[Face((1, 1, 9, 9), True)], [Face((2, 2, 9, 9), True)]])
    images = sorted((tmp_path / "data").glob("*/*.png"))
    twin = images[0].with_name("1__[3, 3, 9, 9]__True.png")  # the id of another image
    images[0].rename(twin)
    (tmp_path / "data" / "sources.csv").write_text(
        f'filename,source\n"train/{images[1].name}",album/my photo.png\n'
    )
    export_labels(LabelsSettings(tmp_path / "data", tmp_path / "out", "yolo"))
    names = {path.name for path in (tmp_path / "out" / "images").glob("*/*")}
    assert names == {"1.png", "my photo.png"}


def test_a_folder_that_is_taken_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "data", [[Face((1, 1, 9, 9), True)]])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="out"):
        export_labels(LabelsSettings(tmp_path / "data", tmp_path / "out", "voc"))
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
