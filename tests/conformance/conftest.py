"""Each row of the zoo, built once for all tests of a file."""

import dataclasses
import pathlib

import numpy as np
import pytest
from row_harness import LABELS, TEXT, build, tiny_config

from emr_ner_tf.data.document import Document
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.registry import ZOO
from emr_ner_tf.models.tagger import Tagger


@dataclasses.dataclass(frozen=True)
class Model:
    """A tiny model of a row.

    Attributes:
        row: name.
        folder: to write into.
        tagger: with weights.
        definition: its own.
    """

    row: str
    folder: pathlib.Path
    tagger: Tagger
    definition: ModelDefinition

    def token_ids(self, *texts: str) -> np.ndarray:
        """Returns ids of texts, int32 [B, T], 0 in the padding."""
        table = self.definition.vocabulary.code_point_table()
        ids = np.zeros([len(texts), max(map(len, texts))], np.int32)
        for i, text in enumerate(texts):
            ids[i, : len(text)] = table[[ord(character) for character in text]]
        return ids


@pytest.fixture(scope="module", params=ZOO)
def row(request) -> str:
    """The name of a row: a test that asks for it, or for its model, runs for all rows."""
    return request.param


@pytest.fixture(scope="module")
def model(row, tmp_path_factory) -> Model:
    """The tiny model of the row."""
    folder = tmp_path_factory.mktemp(row)
    tagger, definition = build(tiny_config(row, folder), [Document("1", TEXT, ())], LABELS)
    return Model(row, folder, tagger, definition)
