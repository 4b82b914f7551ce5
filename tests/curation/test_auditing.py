import json
from pathlib import Path

import pytest
from support.tiny_model import draw_photo

from maskinfer import MaskDetector
from maskinfer.curation.auditing import audit_by_model, correct
from maskinfer.errors import DatasetError, UsageError

NAME = "1__[16, 8, 24, 32]__False.png"


def test_one_model_s_audit_warns_that_it_may_have_learned_the_labels(
    tmp_path: Path, tiny_model: Path
) -> None:
    draw_photo().save(tmp_path / NAME)
    draw_photo().save(tmp_path / "unlabelled.png")
    audit = audit_by_model(tmp_path, MaskDetector(tiny_model, "cpu"))
    assert [prediction.filename for prediction in audit.predictions] == [NAME]
    assert [decision.filename for decision in audit.decisions] == ["unlabelled.png"]
    facts = json.loads(json.dumps(audit.to_dict()))
    assert facts["data"] == str(tmp_path.resolve())
    assert facts["model"] == str(tiny_model)
    assert "may have learned these labels" in facts["warnings"][0]
    assert len(facts["opinions"]) == 1


def test_an_audit_of_no_image_that_can_be_read_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / NAME).write_text("no image")
    with pytest.raises(DatasetError, match="none of its labelled images can be read"):
        audit_by_model(tmp_path, MaskDetector(tiny_model, "cpu"))


def test_a_list_knows_its_data_set_only_in_the_audit_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    draw_photo().save(tmp_path / "data" / NAME)
    (tmp_path / "audit").mkdir()
    decisions = tmp_path / "audit" / "decisions.csv"
    decisions.write_text(f'filename,action\n"{NAME}",flip\n')
    with pytest.raises(UsageError, match="name the data set"):
        correct(decisions, None, None)
    (tmp_path / "audit" / "facts.json").write_text(json.dumps({"data": str(tmp_path / "data")}))
    done, out = correct(decisions, None, None)
    assert out == Path("data-corrected")
    assert done.files == 1
    assert (out / NAME.replace("False", "True")).is_file()
