"""The audit by folds in a directory that has another one."""

import pytest

from emr_ner_tf.audit.audit import Suspect, audit_by_folds, suspect_documents
from emr_ner_tf.audit.candidates import MISSING, Candidate
from emr_ner_tf.data.document import Document, Entity
from emr_ner_tf.data.reading import Located, read_documents
from emr_ner_tf.data.writing import write_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.recipes import read_recipe


def test_the_recipe_of_another_command(tmp_path):
    config = read_recipe("pretrain_elmo")
    with pytest.raises(UserError, match=r"^--config: the recipe lacks key 'char.size'; name a recipe"):
        audit_by_folds([], ["症状"], config, str(tmp_path), folds=2, seed=0)
    assert not list(tmp_path.iterdir())


def test_a_directory_with_an_audit_of_other_settings(tmp_path):
    config = read_recipe("quickstart")
    model = tmp_path / "fold-1-of-2" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text(config.to_json(), encoding="utf-8")
    config.train.epochs += 1
    records = [
        Located(Document(str(n), f"头痛{n}。", [Entity(0, 2, "症状")]), "records.jsonl", n + 1)
        for n in range(4)
    ]
    with pytest.raises(UserError, match=r"other settings .*train\.epochs.* name another --work_dir"):
        audit_by_folds(records, ["症状"], config, str(tmp_path), folds=2, seed=0)


def test_a_record_without_an_id_is_found_again_in_a_table(tmp_path):
    document = Document("in.json:1:2", "头痛。", extra={"id": None, "科": "内"})
    suspect = Suspect(Located(document, "in.json", 1), Candidate(MISSING, 0.5, 0, 2, "症状"))
    write_documents(tmp_path / "out.csv", suspect_documents([suspect]), "csv")
    (found,) = read_documents(tmp_path / "out.csv")
    assert (found.id, found.entities[0].label) == ("in.json:1:2", "missing: 症状")


def test_records_of_one_line_and_one_id_stay_apart():
    records = [Located(Document("1", f"头痛{n}。"), "records.json", 1) for n in range(3)]
    suspects = [
        Suspect(records[n], Candidate(MISSING, 0.5, at, at + 1, "症状")) for n, at in ((2, 0), (0, 1), (2, 1))
    ]
    found = list(suspect_documents(suspects))
    assert [document.text for document in found] == ["头痛2。", "头痛0。"]
    assert [[entity.text for entity in document.entities] for document in found] == [["头", "痛"], ["痛"]]
