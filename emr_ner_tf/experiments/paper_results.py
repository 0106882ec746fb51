"""The paper's figures as data.

Source: Yang, Wang, Yang, "Named Entity Recognition in Electronic Medical Records Incorporating Pre-trained and
Multi-Head Attention" (2024), tables III and V to VIII and the text around them.
"""

import dataclasses
from collections.abc import Sequence

from emr_ner_tf.models.registry import ZOO

# Kinds of encoder: no pre-trained part, an unadapted encoder, one adapted to medical text, a character language model.
NONE, BASE, ADAPTED, ELMO = "none", "base", "adapted", "elmo"
# Kinds with which a row is run, by the encoder in `ZOO`.
KINDS = {"char": (NONE,), "bert": (BASE, ADAPTED), "elmo": (ELMO,)}


@dataclasses.dataclass(frozen=True)
class PaperRow:
    """A line of one of the paper's tables.

    Attributes:
        system: name in the paper.
        row: name in `emr_ner_tf.models.registry`.
        precision: exact match in %, as printed.
        recall: exact match in %, as printed.
        f1: exact match in %, as printed.
        kinds: kinds of encoder with which the line is run; two if the paper does not name its encoder.
        says: kind of encoder that the paper names; "" if it names none.
    """

    system: str
    row: str
    precision: float
    recall: float
    f1: float
    kinds: tuple[str, ...]
    says: str = ""


def _alone(system: str, row: str, p: float, r: float, f1: float, kind: str = NONE) -> PaperRow:
    return PaperRow(system, row, p, r, f1, (kind,), kind)


def _bert(system: str, row: str, p: float, r: float, f1: float, says: str = "") -> PaperRow:
    return PaperRow(system, row, p, r, f1, KINDS["bert"], says)


_MODEL = ("bert_bigru_att_crf", 87.84, 86.10, 86.97, ADAPTED)
TABLES: dict[str, tuple[PaperRow, ...]] = {
    "V": (
        _bert("no attention", "bert_bigru_crf", 85.72, 80.29, 83.01),
        _bert("attention", "bert_bigru_plain_att_crf", 86.24, 82.57, 84.41),
        _bert("multi-head attention", *_MODEL),
    ),
    "VI": (
        _alone("no language model", "bigru_att_crf", 75.28, 84.06, 79.43),
        _alone("BERT, not adapted", "bert_bigru_att_crf", 87.89, 83.51, 85.57, BASE),
        _alone("BERT, adapted", *_MODEL),
    ),
    "VII": (
        _alone("Lattice LSTM", "lattice_lstm", 79.41, 79.24, 79.32),
        _alone("BiLSTM-CRF", "bilstm_crf", 80.37, 80.45, 80.41),
        _alone("BiGRU-CRF", "bigru_crf", 80.65, 80.57, 80.61),
        _alone("BiLSTM-CRF+ELMo", "bilstm_crf_elmo", 82.06, 81.83, 81.94, ELMO),
        _bert("BERT-BiLSTM-CRF", "bert_bilstm_crf", 83.45, 81.34, 82.40),
        _bert("BERT-BiGRU-CRF", "bert_bigru_crf", 83.81, 82.59, 83.20),
        _bert("BERT-BiLSTM-Att-CRF", "bert_bilstm_att_crf", 86.15, 85.75, 85.95),
        _bert("BERT-BiGRU-Att-CRF", *_MODEL),
    ),
    "VIII": (
        _alone("CNN-CRF", "cnn_crf", 75.66, 77.12, 76.39),
        _alone("IDCNN-CRF", "idcnn_crf", 79.41, 79.24, 79.32),
        _bert("BERT-IDCNN-CRF", "bert_idcnn_crf", 82.29, 81.76, 82.02),
        _bert("BERT-BiGRU-Att-CRF", *_MODEL),
    ),
}
WHAT = {
    "III": "distinct surface forms by type",
    "V": "attention on the full model",
    "VI": "language model under the full model",
    "VII": "recurrent systems",
    "VIII": "convolutional systems",
    "ours": "rows that the paper does not have",
}

TEST_RECORDS = 379
# Table III: distinct surface forms of the 1,000 training records, of the validation part, of the 379 test records.
TABLE_III = {
    "疾病和诊断": (2116, 635, 682),
    "影像检查": (222, 67, 91),
    "实验室检验": (318, 95, 193),
    "手术": (765, 230, 140),
    "药物": (456, 137, 263),
    "解剖部位": (1486, 446, 447),
}

# Rows that the paper does not have are compared with this system.
FULL_MODEL = "BERT-BiGRU-Att-CRF"
# Pairs that the paper's text compares, in addition to neighbouring lines, by the table of the second system: (better
# system, other system).
CLAIMS: dict[str, tuple[tuple[str, str], ...]] = {
    "V": (("multi-head attention", "no attention"),),
    "VI": (("BERT, adapted", "no language model"),),
    "VII": (
        ("BiLSTM-CRF+ELMo", "BiLSTM-CRF"),
        ("BERT-BiLSTM-CRF", "BiLSTM-CRF"),
        ("BERT-BiGRU-CRF", "BiGRU-CRF"),
        ("BERT-BiLSTM-Att-CRF", "BERT-BiLSTM-CRF"),
        ("BERT-BiGRU-Att-CRF", "BERT-BiGRU-CRF"),
    ),
    "VIII": (("BERT-BiGRU-CRF", "BERT-IDCNN-CRF"),),
}

# Training minutes of the two systems whose times the paper gives, and pairs that differ in the same way.
TRAINING_MINUTES = {"bert_bigru_att_crf": 129.25, "bert_bilstm_att_crf": 186.32}
GRU_AND_LSTM = (
    ("bert_bigru_att_crf", "bert_bilstm_att_crf"),
    ("bert_bigru_crf", "bert_bilstm_crf"),
    ("bigru_crf", "bilstm_crf"),
)

KNOWN_ERRATA = (
    "Table V's line without attention (83.01) should have the F1 of BERT-BiGRU-CRF in Table VII (83.20).",
    "Lattice LSTM (Table VII) and IDCNN-CRF (Table VIII) have the same three figures.",
    "The text says that BERT-BiGRU-CRF leads BERT-IDCNN-CRF by 5.55, 4.34 and 4.95; these are the differences of the "
    "full model. Those of BERT-BiGRU-CRF are 1.52, 0.83 and 1.18.",
    "Some F1 values do not follow from their P and R, which give 82.92 for Table V without attention (printed "
    "83.01), 84.37 for Table V with plain attention (84.41), 85.64 for Table VI's BERT that is not adapted (85.57), "
    "and 82.38 for BERT-BiLSTM-CRF (82.40).",
    "Table III's validation column is 30 % of its train column for each type; the number of distinct forms in three "
    "tenths of the records would not be.",
    "The paper does not give the number of epochs and of attention heads, how the encoder was adapted, whether it is "
    "tuned, which encoder the BERT lines of tables V, VII and VIII other than the full model have, and which attention "
    "BERT-BiLSTM-Att-CRF has.",
)


def rows_of(tables: Sequence[str]) -> list[tuple[str, str]]:
    """Returns every pair (row, kind of encoder) of the tables, without duplicates, in the order of the tables.

    Args:
        tables: keys of `TABLES`, "ours" (the rows that the paper does not have) or "III" (no rows).
    """
    pairs = []
    for table in tables:
        if table == "ours":
            pairs += [(row, kind) for row in own_rows() for kind in KINDS[ZOO[row].encoder]]
        pairs += [(line.row, kind) for line in TABLES.get(table, ()) for kind in line.kinds]
    return list(dict.fromkeys(pairs))


def own_rows() -> list[str]:
    """Returns the rows of `ZOO` that none of the paper's tables has."""
    of_the_paper = {line.row for lines in TABLES.values() for line in lines}
    return [row for row in ZOO if row not in of_the_paper]
