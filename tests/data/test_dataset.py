from pathlib import Path

import pytest
from PIL import Image

from maskinfer.data.cleaning import Mode
from maskinfer.data.dataset import Dataset, sample_images
from maskinfer.data.labels import Face, Sample
from maskinfer.errors import DatasetError, UsageError

LABELLED = "000190__[70, 83, 10, 12]__True.jpg"
FACE = "1,2,3,4,True"


def write_images(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 100)).save(path)


def write_faces(folder: Path, *names: str) -> None:
    rows = "".join(f'"{name}",{FACE}\n' for name in names)
    (folder / "other_faces.csv").write_text(f"filename,x,y,w,h,proper_mask\n{rows}")


def write_sources(folder: Path, **sources: str) -> None:
    rows = "".join(f"{name},{source}\n" for name, source in sources.items())
    (folder / "sources.csv").write_text(f"filename,source\n{rows}")


def test_splits_are_the_folders_that_there_are(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert Dataset.open(data).splits == {"data": data}
    (data / "test").mkdir()
    dataset = Dataset.open(data)
    assert dataset.splits == {"test": data / "test"}
    assert dataset.split("test") == data / "test"
    with pytest.raises(DatasetError, match="no folder train/"):
        dataset.split("train")
    with pytest.raises(DatasetError, match="no such folder"):
        Dataset(data / "gone").split("train")


def test_what_is_no_folder_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="gone: no such folder"):
        Dataset.open(tmp_path / "gone")
    with pytest.raises(UsageError, match="file: not a folder, expected a data set"):
        Dataset.open(tmp_path / "file")


def test_sample_images_stand_in_for_data_that_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no data set named, .* Name one: maskinfer bench IMAGES"):
        sample_images("maskinfer bench IMAGES")
    Path("sample_images").mkdir()
    assert sample_images("maskinfer bench IMAGES") == Path("sample_images")


def test_labels_are_read_from_the_names(tmp_path: Path) -> None:
    write_images(tmp_path, LABELLED, "more/1__[1, 2, 3, 4]__False.png")

    assert Dataset(tmp_path).samples("train") == (
        [
            Sample(tmp_path / LABELLED, (70, 83, 10, 12), True),
            Sample(tmp_path / "more/1__[1, 2, 3, 4]__False.png", (1, 2, 3, 4), False),
        ],
        [],
        [],
    )


def test_unlabelled_images_are_listed_with_the_reason(tmp_path: Path) -> None:
    write_images(tmp_path / "test", LABELLED, "photo.jpg", "2__[1, 2, 3]__True.jpg")

    samples, decisions, unlabelled = Dataset(tmp_path).samples("test")

    assert len(samples) == 1
    assert decisions == []
    assert [d.filename for d in unlabelled] == ["test/2__[1, 2, 3]__True.jpg", "test/photo.jpg"]
    assert "expected four numbers" in unlabelled[0].reason
    assert "no label in the file name" in unlabelled[1].reason


@pytest.mark.parametrize("mode", ["train", "test"])
def test_fractions_of_pixels_are_rounded_and_said(tmp_path: Path, mode: Mode) -> None:
    write_images(tmp_path / "test", "1__[1.5, 2, 3.25, 4]__true.jpg")
    [sample], [decision], _ = Dataset(tmp_path).samples(mode)
    assert (sample.box_xywh, sample.proper_mask) == ((2, 2, 3, 4), True)
    assert (decision.action, decision.box_xywh) == ("rounded", (2, 2, 3, 4))
    assert decision.reason == "fractions of pixels in box, rounded to [2, 2, 3, 4]"


@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_split_without_labels_is_refused_only_if_asked_for(tmp_path: Path, mode: Mode) -> None:
    write_images(tmp_path, f"train/{LABELLED}", "test/photo.jpg")
    dataset = Dataset(tmp_path)

    samples, _, unlabelled = dataset.samples(mode)

    assert [dataset.name_of(sample.path) for sample in samples] == [f"train/{LABELLED}"]
    assert [decision.filename for decision in unlabelled] == ["test/photo.jpg"]
    assert dataset.samples(mode, "train").samples == samples
    with pytest.raises(DatasetError, match=r"test: no labelled image; .* 'photo\.jpg'"):
        dataset.samples(mode, "test")


def test_a_data_set_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no labelled image$"):
        Dataset(tmp_path).samples("test")
    write_images(tmp_path, "photo.jpg")
    with pytest.raises(DatasetError, match=r"the first of 1 images: 'photo\.jpg'"):
        Dataset(tmp_path).samples("test")


def test_the_test_part_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    write_images(tmp_path, f"train/{LABELLED}", f"more/{LABELLED}")
    part = Dataset(tmp_path).test_part()
    names = [part.name_of(sample.path) for sample in part.samples("test").samples]
    assert names == [f"more/{LABELLED}", f"train/{LABELLED}"]
    write_images(tmp_path, f"test/{LABELLED}")
    part = Dataset(tmp_path).test_part()
    assert part.path == tmp_path / "test"
    assert [part.name_of(s.path) for s in part.samples("test").samples] == [LABELLED]


def test_lists_among_the_images_prevail(tmp_path: Path) -> None:
    write_images(tmp_path, "train/a.jpg", "test/b.jpg")
    write_faces(tmp_path, "train/a.jpg", "train/a.jpg", "train/c.jpg")
    write_faces(tmp_path / "train", "a.jpg")
    write_sources(tmp_path, **{"train/a.jpg": "1.png", "test/b.jpg": "2.png"})
    write_sources(tmp_path / "test", **{"b.jpg": "3.png"})
    dataset = Dataset(tmp_path)

    face = Face((1, 2, 3, 4), True)
    assert dataset.other_faces == {"train/a.jpg": (face,), "train/c.jpg": (face,)}
    assert dataset.sources == {"train/a.jpg": "1.png", "test/b.jpg": "3.png"}


def test_a_split_alone_uses_the_lists_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path, "train/a.jpg", "test/b.jpg")
    write_sources(tmp_path, **{"train/a.jpg": "1.png", "test/b.jpg": "2.png"})
    assert Dataset(tmp_path / "train").sources == {"a.jpg": "1.png"}
    write_faces(tmp_path / "test", "b.jpg")
    monkeypatch.chdir(tmp_path / "test")
    assert list(Dataset(Path()).other_faces) == ["b.jpg"]
    assert Dataset(Path()).sources == {"b.jpg": "2.png"}
