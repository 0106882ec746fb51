"""The paper's systems as a table: one line for each combination of encoder, context and attention."""

import dataclasses

from emr_ner_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class ZooRow:
    """One system: the names of its encoder, context and attention. Every system ends with a CRF.

    Attributes:
        encoder: "bert" (any checkpoint), "char" (character embeddings), or "elmo" (character embeddings and a language
            model).
        context: a key of `CONTEXTS` in `emr_ner_tf.models.context_layers`.
        attention: one of `ATTENTIONS` in `emr_ner_tf.models.tagger`.
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

# Context layers that need a lexicon.
LEXICON_CONTEXTS = ("lattice_lstm",)


def zoo_row(name: str) -> ZooRow:
    """Returns the system with that name.

    Raises:
        UserError: the name is unknown; the message lists the choices.
    """
    if name not in ZOO:
        raise UserError(f"the system must be one of {', '.join(ZOO)}, got {name!r}")
    return ZOO[name]
