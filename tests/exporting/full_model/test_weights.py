"""Weights in 16 bits, of every kind that the full model has; versions that make room; the licence and the card."""

import numpy as np
import pytest

from emr_ner_tf.exporting.bundle import find_version
from emr_ner_tf.exporting.export import export

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def halves(trained, corpus, tmp_path_factory):
    """Two versions in one directory, of which one is kept: bfloat16 (removed), float16."""
    output = tmp_path_factory.mktemp("halves")
    results = [
        export(trained, output, verify_on=str(corpus / "test.jsonl"), weights=weights, keep=1, licence="MIT")
        for weights in ("bfloat16", "float16")
    ]
    return output, results


def test_weights_in_16_bits(halves, bundles, marginals_of):
    output, results = halves
    full = sum(path.stat().st_size for path in find_version(bundles).rglob("*") if path.is_file())
    stored = (find_version(bundles) / "variables/variables.data-00000-of-00001").stat().st_size
    for result in results:
        assert result.megabytes * 1e6 < full - 0.15 * stored
        assert result.verification.records == 16
        assert result.verification.entities > 20
    found, expected = marginals_of(output), marginals_of(bundles)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert np.abs(found - expected).max() > 0


def test_old_versions_make_room(halves):
    output, results = halves
    assert [path.name for path in output.iterdir()] == ["2"]
    assert [result.removed for result in results] == [[], [output / "1"]]


def test_licence_and_card(halves, bundles):
    output, _ = halves
    assert (output / "2/assets/LICENCE").read_text(encoding="utf-8") == "MIT\n"
    assert "No licence was stated" in (find_version(bundles) / "assets/LICENCE").read_text(encoding="utf-8")
    assert "weights stored as float16" in (output / "2/assets/model_card.md").read_text(encoding="utf-8")
