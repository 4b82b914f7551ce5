from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from support.predictions import predicted, recorded_names

from maskinfer.data.folders import Failure
from maskinfer.data.sources import NamesSource, survey
from maskinfer.errors import MaskinferError, ModelFileError, ProviderError
from maskinfer.inference.detector import MaskDetector
from maskinfer.inference.predicting import Interrupted, PredictSettings, Results, predict_source

SOURCE = NamesSource(Path(), ("a.jpg", "b.jpg", "c.jpg"))


def engine_that_stops(
    after: int, error: BaseException
) -> Callable[[Iterable[str | Failure]], Results]:
    def predict(names: Iterable[str | Failure]) -> Results:
        for done, name in enumerate(names):
            if done == after:
                raise error
            yield predicted(str(name), (1, 2, 3, 4), True, 0.5)

    return predict


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ProviderError("cuda", "the GPU is gone"), id="two arguments"),
        pytest.param(ModelFileError("tiny.onnx: failed"), id="one argument"),
    ],
)
def test_an_error_says_how_far_the_prediction_came(
    tmp_path: Path, tiny_model: Path, error: MaskinferError
) -> None:
    text, exit_code = str(error), error.exit_code
    settings = PredictSettings(out=tmp_path / "p.csv")
    detector = MaskDetector(tiny_model, "cpu")
    with pytest.raises(type(error)) as stop:
        predict_source(engine_that_stops(2, error), detector, SOURCE, survey(SOURCE), settings)
    kept_in = tmp_path / "p.csv.partial"
    assert str(stop.value) == f"{text}; 2 of 3 images are done, kept in {kept_in}"
    assert stop.value.exit_code == exit_code
    assert recorded_names(kept_in) == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(("after", "resumable"), [(0, False), (2, True)])
def test_an_interruption_says_whether_it_can_be_resumed(
    tmp_path: Path, tiny_model: Path, after: int, resumable: bool
) -> None:
    settings = PredictSettings(out=tmp_path / "p.csv")
    detector = MaskDetector(tiny_model, "cpu")
    engine = engine_that_stops(after, KeyboardInterrupt())
    with pytest.raises(Interrupted, match=f"{after} of 3 images are done") as stop:
        predict_source(engine, detector, SOURCE, survey(SOURCE), settings)
    assert stop.value.resumable == resumable == (tmp_path / "p.csv.partial").exists()
