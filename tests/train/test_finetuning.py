"""Training on from a whole network: a run, a file of weights, or what ships."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskinfer.errors import RunError
from maskinfer.runtime.default_model import shipped_model, shipped_weights
from maskinfer.runtime.model_file import WorkingPoint
from maskinfer.runtime.session import Session
from maskinfer.train import loop
from maskinfer.train.calibration import Calibration
from maskinfer.train.display import Display
from maskinfer.train.recipes import recipe_settings
from maskinfer.train.runs.checkpoint import Checkpoint
from maskinfer.train.runs.folder import RunFolder
from maskinfer.train.settings import TrainSettings
from maskinfer.train.synthetic.samples import SynthSettings, write_samples

NOW = datetime(2026, 1, 2, 3, 4, 5)
POINTS = (WorkingPoint(0.31, 0.6), WorkingPoint(0.42, 0.7))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A `lite` that has begun to find drawn faces, at 64 px."""
    folder = tmp_path_factory.mktemp("learned")
    write_samples(folder / "data" / "train", SynthSettings(count=96, seed=3, size_px=96))
    write_samples(folder / "data" / "test", SynthSettings(count=16, seed=4, size_px=96))
    settings = replace(
        recipe_settings("lite", "default", (str(folder / "data"),), 64),
        weights="imagenet",
        epochs=2,
        batch_size=8,
        workers=0,
    )
    return loop.train(settings, folder / "runs", NOW, Display())


def _settings(data: Path, weights: Path | str, **changes: object) -> TrainSettings:
    settings = recipe_settings("lite", "finetune", (str(data),), 64)
    small = {"weights": str(weights), "epochs": 1, "batch_size": 8, "workers": 0}
    return replace(settings, **{**small, **changes})  # type: ignore[arg-type]


def test_finetuning_begins_with_what_was_learned_and_never_ends_worse(
    learned: RunFolder, drawn: Path, tmp_path: Path
) -> None:
    """Not even with a rate that spoils the network."""
    settings = _settings(drawn, learned.path, learning_rate=1.0)
    run = loop.train(settings, tmp_path, NOW, Display())
    history = run.read_history()
    assert [row.epoch for row in history] == [0, 1]
    assert history[1].score < history[0].score  # type: ignore[operator]
    best, was = (load_file(path / "best.safetensors") for path in (run.path, learned.path))
    assert all(torch.equal(best[name], was[name]) for name in best)
    assert Checkpoint.load(run.path).figures == history[0]
    assert run.read_config().normalisation["mean"] == was["mean"].tolist()


def test_weights_that_no_epoch_betters_keep_their_calibration(
    learned: RunFolder, tmp_path: Path
) -> None:
    """A threshold of a few photos of one's own would call others wrongly."""
    calibration, file = Calibration(1.5, 0.6, 40), tmp_path / "mine.safetensors"
    Checkpoint.load(learned.path)._replace(calibration=calibration).write(file)
    data = Path(learned.read_config().settings.data[0])
    settings = _settings(data, file, learning_rate=1.0, validation=0.4)
    run = loop.train(settings, tmp_path, NOW, Display())
    assert run.read_history()[1].score < run.read_history()[0].score  # type: ignore[operator]
    assert Checkpoint.load(run.path).calibration == calibration


def test_finetuning_leaves_the_statistics_of_batch_normalisation(
    learned: RunFolder, drawn: Path, tmp_path: Path
) -> None:
    run = loop.train(_settings(drawn, learned.path), tmp_path, NOW, Display())
    was = load_file(learned.path / "best.safetensors")
    now = load_file(run.path / "last" / "network.safetensors")
    statistics = [name for name in now if "running" in name]
    assert all(torch.equal(now[name], was[name]) for name in statistics)
    assert not torch.equal(now["body.conv_stem.weight"], was["body.conv_stem.weight"])


def test_interrupted_before_its_first_epoch_finetuning_can_be_resumed(
    learned: RunFolder, drawn: Path, tmp_path: Path
) -> None:
    class Interrupts(Display):
        def begin(self, what: str, steps: int) -> None:
            if what == "train":
                raise KeyboardInterrupt

    settings = _settings(drawn, learned.path)
    with pytest.raises(KeyboardInterrupt, match="after epoch 0"):
        loop.train(settings, tmp_path, NOW, Interrupts())
    run = RunFolder.newest(tmp_path)
    loop.resume(run, None, Display())
    assert [row.epoch for row in run.read_history()] == [0, 1]


def test_one_file_holds_the_weights_and_all_that_is_known_of_them(
    learned: RunFolder, drawn: Path, tmp_path: Path
) -> None:
    own = Checkpoint.load(learned.path)
    calibration = Calibration(1.5, 0.6, 40, *POINTS)
    file = tmp_path / "mine.safetensors"
    own._replace(calibration=calibration).write(file)
    again = Checkpoint.load(file)

    assert again.calibration == calibration
    assert again.figures == own.figures
    assert again.config.settings.data == ()  # no path of the machine that trained
    assert str(tmp_path).encode() not in file.read_bytes()[:100_000]
    assert file.stat().st_size < 0.6 * (learned.path / "best.safetensors").stat().st_size
    for name, tensor in own.network.state_dict().items():
        torch.testing.assert_close(
            again.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-6, check_dtype=True
        )
    # Too few validation images to calibrate on, so what was known stays.
    run = loop.train(_settings(drawn, file), tmp_path / "runs", NOW, Display())
    assert Checkpoint.load(run.path).calibration == calibration
    assert run.read_config().initial_weights == "mine.safetensors"


def test_weights_of_elsewhere_are_no_run(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(RunError, match="not a file of weights that maskinfer export wrote"):
        Checkpoint.load(tmp_path / "other.safetensors")


def test_weights_that_ship_are_the_networks_of_the_file_that_ships() -> None:
    shipped, model = Checkpoint.load(Path("shipped")), Session(shipped_model(), "cpu").metadata
    assert shipped.calibration.one_face == model.one_face
    assert shipped.calibration.all_faces == model.all_faces
    assert shipped.config.settings.data == ()
    assert shipped.config.normalisation == model.normalisation
    assert shipped_model().stat().st_size + shipped_weights().stat().st_size < 12e6
