"""A bundle that is not the model is not published, and an export that fails leaves nothing behind."""

import shutil

import pytest

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.errors import UserError
from emr_ner_tf.exporting import export as exporting
from emr_ner_tf.exporting.bundle import TAGS, Bundle, find_version
from emr_ner_tf.exporting.parity_check import verify


@pytest.fixture(scope="module")
def documents(corpus):
    return list(read_documents(corpus / "test.jsonl"))


@pytest.fixture
def model(restored):
    """The tiny model; what a test does to its weights is undone."""
    variables = restored.ner_pipeline.tagger.variables
    weights = [variable.numpy() for variable in variables]
    yield restored
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)


def test_other_entities(bundle, model, documents):
    bias = model.ner_pipeline.tagger.linear.bias
    # Everything is a mention of the second label.
    bias.assign(bias + [100.0 if tag == 3 else 0.0 for tag in range(bias.shape[0])])
    with pytest.raises(UserError, match=r"entities .* not published"):
        verify(bundle, list(model.annotate(documents)))


def test_other_scores(bundle, model, documents):
    tagger = model.ner_pipeline.tagger
    # Scores of all paths are stretched alike: the best one stays the best, and probabilities change.
    for variable in (*tagger.linear.trainable_variables, *tagger.crf.trainable_variables):
        variable.assign(1.1 * variable)
    with pytest.raises(UserError, match=r"scores .* not published"):
        verify(bundle, list(model.annotate(documents)))


def test_signatures_that_contradict_one_another(bundles, model, documents, tmp_path):
    version = shutil.copytree(find_version(bundles), tmp_path / "1")
    tags = (version / "assets" / TAGS).read_text(encoding="utf-8").splitlines()
    (version / "assets" / TAGS).write_text("".join(f"{tag}\n" for tag in tags[::-1]), encoding="utf-8")
    with pytest.raises(UserError, match=r"`tag` and `decode` disagree"):
        verify(Bundle(version), list(model.annotate(documents)))


def test_a_bundle_that_is_not_the_model_is_not_published(trained, corpus, tmp_path, monkeypatch):
    written = exporting.write_bundle

    def damaged(ner_pipeline, *arguments, **options):
        """Writes the bundle of another model."""
        ner_pipeline.tagger.linear.kernel.assign(-ner_pipeline.tagger.linear.kernel)
        return written(ner_pipeline, *arguments, **options)

    monkeypatch.setattr(exporting, "write_bundle", damaged)
    with pytest.raises(UserError, match="not published"):
        exporting.export(trained, tmp_path / "bundles", verify_on=str(corpus / "test.jsonl"))
    assert not (tmp_path / "bundles").exists()
