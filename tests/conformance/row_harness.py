"""A tiny model of each row of the zoo: its settings, its start, and what it must consist of."""

import pathlib
from collections.abc import Sequence

import tensorflow as tf

from emr_ner_tf.config import RANDOM_ENCODER, ConfigDict, base_config
from emr_ner_tf.data.document import Document
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.registry import ZOO
from emr_ner_tf.models.resources import build_resources
from emr_ner_tf.models.tagger import Tagger

TEXT = "患者因右肺上叶腺癌入院。"
LABELS = ("甲", "乙")
LEXICON = ("患者", "右肺", "肺上叶", "上叶", "腺癌", "入院")

# Weights of each named part, counted by hand. 17 tokens: 5 special ones and the 12 characters of TEXT; 5 tags.
#   char               17 x 12 = 204
#   bert, width 20     17 + 18 positions + 2 segments, x 20 = 740; norm 40; query, key, value, output 4 (20 x 20 + 20) =
#                      1680; dense 20 x 24 + 24 and 24 x 20 + 20 = 1004; two norms 80; together 3544
#   bilstm of D        2 directions x 4 gates x 8 (D + 8 + 1): 1344 of 12, 1856 of 20
#   bigru of D         2 directions x 3 gates x 8 (D + 8 + 2): 1056 of 12, 1440 of 20
#   lattice            6 words x 6 = 36; and in 2 directions 3 x 8 (12 + 8 + 1) = 504 for the cell, 3 x 8 (6 + 8 + 1) =
#                      360 for words, 8 (12 + 8 + 1) = 168 for their gate; together 2100
#   elmo               17 x 12 = 204; 17 x 20 = 340; 2 layers x 2 directions x (4 x 24 (20 + 20 + 1) + 24 x 20) = 17664;
#                      3 + 1 weights of layers; together 18212. Its output is 12 + 2 x 20 wide: a bilstm of 52 has 3904
#   cnn                5 x 12 x 8 + 8 = 488
#   idcnn of D         3 D x 8 + 8, and three times 3 x 8 x 8 + 8: 896 of 12, 1088 of 20
#   multi-head         4 (16 x 16 + 16) = 1088; plain: 16 + 1 = 17, and the width doubles
#   emissions of W     5 W + 5: 45 of 8, 85 of 16, 105 of 20, 165 of 32
#   crf                5 x 5 + 5 + 5 = 35
PARTS = {
    "bilstm_crf": {"encoder": 204, "context": 1344, "emissions": 85, "crf": 35},
    "lattice_lstm": {"encoder": 204, "context": 2100, "emissions": 85, "crf": 35},
    "bilstm_crf_elmo": {"encoder": 18212, "context": 3904, "emissions": 85, "crf": 35},
    "bigru_crf": {"encoder": 204, "context": 1056, "emissions": 85, "crf": 35},
    "bigru_att_crf": {"encoder": 204, "context": 1056, "attention": 1088, "emissions": 85, "crf": 35},
    "cnn_crf": {"encoder": 204, "context": 488, "emissions": 45, "crf": 35},
    "idcnn_crf": {"encoder": 204, "context": 896, "emissions": 45, "crf": 35},
    "bert_idcnn_crf": {"encoder": 3544, "context": 1088, "emissions": 45, "crf": 35},
    "bert_bigru_att_crf": {"encoder": 3544, "context": 1440, "attention": 1088, "emissions": 85, "crf": 35},
    "bert_bilstm_att_crf": {"encoder": 3544, "context": 1856, "attention": 1088, "emissions": 85, "crf": 35},
    "bert_bigru_plain_att_crf": {
        "encoder": 3544,
        "context": 1440,
        "attention": 17,
        "emissions": 165,
        "crf": 35,
    },
    "bert_bigru_crf": {"encoder": 3544, "context": 1440, "emissions": 85, "crf": 35},
    "bert_bilstm_crf": {"encoder": 3544, "context": 1856, "emissions": 85, "crf": 35},
    "bert_crf": {"encoder": 3544, "emissions": 105, "crf": 35},
}


def tiny_config(row: str, folder: pathlib.Path, *, window: int = 16) -> ConfigDict:
    """Returns settings of a row that build and trace in seconds, without dropout; writes a lexicon into `folder`."""
    config = base_config()
    config.encoder = RANDOM_ENCODER
    config.random_encoder.hidden_size = 20
    # ELMo's layers after the first are not like it.
    config.random_encoder.num_hidden_layers = 2 if ZOO[row].encoder == "elmo" else 1
    config.random_encoder.num_attention_heads = 2
    config.random_encoder.intermediate_size = 24
    config.random_encoder.max_position_embeddings = window + 2
    config.random_encoder.hidden_dropout_prob = 0.0
    config.random_encoder.attention_probs_dropout_prob = 0.0
    config.char.size = 12
    config.elmo.trainable = True
    config.lexicon.file = str(folder / "words.txt")
    config.lexicon.size = 6
    (folder / "words.txt").write_text("".join(f"{word}\n" for word in LEXICON), encoding="utf-8")
    config.model.encoder = ZOO[row].encoder
    config.model.context = ZOO[row].context
    config.model.attention = ZOO[row].attention
    config.model.units = 8
    config.model.heads = 2
    config.model.dropout = 0.0
    config.text.window = window
    config.text.overlap = 4
    config.text.slack = 4
    config.text.token_budget = 64
    return config


def build(
    config: ConfigDict, documents: Sequence[Document], labels: Sequence[str]
) -> tuple[Tagger, ModelDefinition]:
    """Builds a model as a run on `documents` starts it, every weight off its initial zero or one."""
    tf.keras.mixed_precision.set_global_policy("float32")
    tf.keras.utils.set_random_seed(5)
    resources = build_resources(config, documents)
    definition = ModelDefinition(config, resources.vocabulary, tuple(labels), words=resources.words)
    tagger, definition = build_tagger(definition, resources)
    for variable in tagger.variables:
        variable.assign(variable + tf.random.uniform(variable.shape, -0.1, 0.1))
    return tagger, definition
