"""Which samples are trained on, and which are held out."""

from pathlib import Path

import pytest
from PIL import Image
from support.tiny_model import draw_photo

from maskinfer.data.labels import Face
from maskinfer.data.side_lists import write_face_notes
from maskinfer.errors import DatasetError
from maskinfer.train.data.parts import Parts, read_parts


def _data_set(folder: Path, photos: list[str], listed: bool = True) -> str:
    """Two training images of each photo, and one test image."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
    rows = []
    for number, photo in enumerate(photos * 2):
        name = f"train/{number:03d}__[1, 1, 9, 9]__{number % 3 == 0}.png"
        Image.new("RGB", (16, 16)).save(folder / name)
        rows.append(f'"{name}",{photo}\n')
    Image.new("RGB", (16, 16)).save(folder / "test/0__[1, 1, 9, 9]__True.png")
    if listed:
        (folder / "sources.csv").write_text("filename,source\n" + "".join(rows))
    return str(folder)


def _photo(path: Path, photos: list[str]) -> str:
    return photos[int(path.name.split("__")[0]) % len(photos)]


def test_images_of_one_photo_are_held_out_together_in_all_data_sets(tmp_path: Path) -> None:
    photos = [f"images/{number}.png" for number in range(20)]
    data = [_data_set(tmp_path / name, photos) for name in ("whole", "crops")]
    parts = read_parts(data, 0.2, seed=3)
    held = {_photo(sample.path, photos) for sample in parts.validation}
    trained = {_photo(sample.path, photos) for sample in parts.train}
    assert held.isdisjoint(trained)
    assert len(held) == 4
    assert len(parts.validation) == 16  # two images in each of two data sets
    assert {sample.path.parts[-3] for sample in parts.validation} == {"whole", "crops"}


def test_without_sources_each_image_is_a_photo_of_its_own(tmp_path: Path) -> None:
    photos = [f"{number}" for number in range(10)]
    parts = read_parts([_data_set(tmp_path / "a", photos, listed=False)], 0.25, seed=0)
    assert (len(parts.train), len(parts.validation)) == (15, 5)


def test_other_faces_join_their_sample(tmp_path: Path) -> None:
    data = Path(_data_set(tmp_path / "a", ["p", "q"]))
    (data / "other_faces.csv").write_text(
        "filename,x,y,w,h,proper_mask\n"
        '"train/000__[1, 1, 9, 9]__True.png",3,4,5,6,False\n'
        '"test/0__[1, 1, 9, 9]__True.png",7,8,5,6,True\n'
    )
    parts: Parts = read_parts([str(data)], 0, seed=0)
    by_name = {sample.path.name[:3]: sample.others for sample in parts.train}
    assert by_name["000"] == (Face((3, 4, 5, 6), False),)
    assert by_name["001"] == ()
    assert parts.test[0].others == (Face((7, 8, 5, 6), True),)


def test_further_data_without_test_images_only_teaches(tmp_path: Path) -> None:
    data = Path(_data_set(tmp_path / "a", [str(number) for number in range(20)]))
    more = tmp_path / "more" / "train"  # and no test/
    more.mkdir(parents=True)
    names = [f"{number}__[1, 1, 9, 9]__False.png" for number in range(20)]
    for name in names:
        Image.new("RGB", (16, 16)).save(more / name)
    write_face_notes(more, [(name, Face((1, 1, 9, 9), False, False, False)) for name in names])
    parts = read_parts([str(data), str(more.parent)], 0.5, seed=0)
    assert sum(not sample.box_known for sample in parts.train) == 20
    assert len(parts.validation) == 20
    assert all(sample.box_known for sample in parts.validation)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A folder of 20 labelled photos, the second half copies of the first; one box impossible."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for number in range(20):
        x = 2 * (number % 10)
        photo = draw_photo(box_xywh=(x, 8, 24, 32), blue=120 + 9 * (number % 10))
        y = -8 if number == 15 else 8
        photo.save(folder / f"{number:03d}__[{x}, {y}, 24, 32]__True.png")
    return folder


def test_a_folder_without_parts_is_divided_by_photo_with_its_copies(flat: Path) -> None:
    parts = read_parts([str(flat)], 0.0, seed=1)
    numbers = {
        name: {int(sample.path.name[:3]) for sample in samples}
        for name, samples in parts.by_name.items()
    }
    assert len(numbers["test"]) == 4
    assert {number % 10 for number in numbers["test"]}.isdisjoint(n % 10 for n in numbers["train"])
    assert numbers["train"] | numbers["test"] | {15} == set(range(20))
    assert (15 in numbers["train"], parts.divided) == (False, [str(flat)])
    other_seed = read_parts([str(flat)], 0.2, seed=2)
    assert [s.path for s in other_seed.test] == [s.path for s in parts.test]
    assert other_seed.validation


def test_one_photo_cannot_be_divided(tmp_path: Path) -> None:
    draw_photo().save(tmp_path / "1__[16, 8, 24, 32]__True.png")
    with pytest.raises(DatasetError, match="got 1 photo, expected more, to test on some"):
        read_parts([str(tmp_path)], 0.1, seed=0)
