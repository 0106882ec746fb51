"""The table of formats."""

from emr_ner_tf.data.formats import (
    brat,
    ccks_pairs,
    cmeee,
    conll,
    csv_table,
    doccano,
    huggingface,
    label_studio,
    native,
    uie,
    uima,
    webanno,
    xlsx,
)
from emr_ner_tf.data.formats.format import Format

FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        native.CCKS2019,
        native.BIO,
        native.TEXT_LINES,
        ccks_pairs.CCKS2017,
        ccks_pairs.CCKS2018,
        cmeee.FORMAT,
        brat.FORMAT,
        doccano.FORMAT,
        label_studio.FORMAT,
        conll.FORMAT,
        huggingface.FORMAT,
        uie.FORMAT,
        csv_table.FORMAT,
        xlsx.FORMAT,
        webanno.FORMAT,
        uima.XMI,
        uima.JSON,
    )
}
# These are read line by line in `reading` itself.
LINE_FORMATS = ("ccks2019", "bio", "text")
AUTO = "auto"
READ_FORMATS = tuple(
    name for name, format in FORMATS.items() if format.read is not None or name in LINE_FORMATS
)
WRITE_FORMATS = tuple(name for name, format in FORMATS.items() if format.open is not None)
