"""The paper's systems as a table: encoder x context x attention by name, a line for each."""

import dataclasses

from emr_ner_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class ZooRow:
    """One system: names of its encoder, its context and its attention; a CRF ends each.

    Attributes:
        encoder: "bert", whatever checkpoint it is; "char", character embeddings; "elmo", those beside a language
            model's.
        context: a name of `emr_ner_tf.models.context_layers`.
        attention: a name of `emr_ner_tf.models.tagger`.
    """

    encoder: str
    context: str
    attention: str


ZOO = {
    "bilstm_crf": ZooRow("char", "bilstm", "none"),
    "bigru_crf": ZooRow("char", "bigru", "none"),
    "lattice_lstm": ZooRow("char", "lattice_lstm", "none"),
    "bilstm_crf_elmo": ZooRow("elmo", "bilstm", "none"),
    "bigru_att_crf": ZooRow("char", "bigru", "multi_head"),
    "cnn_crf": ZooRow("char", "cnn", "none"),
    "idcnn_crf": ZooRow("char", "idcnn", "none"),
    "bert_idcnn_crf": ZooRow("bert", "idcnn", "none"),
    "bert_bigru_att_crf": ZooRow("bert", "bigru", "multi_head"),
    "bert_bilstm_att_crf": ZooRow("bert", "bilstm", "multi_head"),
    "bert_bigru_plain_att_crf": ZooRow("bert", "bigru", "plain"),
    "bert_bigru_crf": ZooRow("bert", "bigru", "none"),
    "bert_bilstm_crf": ZooRow("bert", "bilstm", "none"),
    "bert_crf": ZooRow("bert", "none", "none"),
}

# Contexts that look words up, and so need a lexicon.
LEXICON_CONTEXTS = ("lattice_lstm",)


def zoo_row(name: str) -> ZooRow:
    """Returns the system of that name.

    Raises:
        UserError: an unknown name; the message lists the choices.
    """
    if name not in ZOO:
        raise UserError(f"the system must be one of {', '.join(ZOO)}, got {name!r}")
    return ZOO[name]
