"""Folds of a corpus: each record is held out from the training of one model."""

import hashlib
from collections.abc import Sequence

from emr_ner_tf.errors import UserError


def assign_folds(texts: Sequence[str], folds: int, seed: int) -> list[int]:
    """Draws the fold of each record; records with the same text are in the same fold.

    Args:
        texts: texts of the records.
        folds: number of folds, 2 or more.
        seed: the same seed, texts and number give the same folds on any machine.

    Returns:
        For each record, the number of its fold from 0; the folds differ by at most one distinct text.

    Raises:
        UserError: there are fewer distinct texts than folds.
    """
    keys = {text: text_key(text) for text in texts}
    if len(keys) < folds:
        raise UserError(f"--folds={folds}: must be at most the number of different texts, {len(keys)}")
    drawn = sorted(keys, key=lambda text: hashlib.sha256(f"{seed}:{keys[text]}".encode()).digest())
    fold_of = {text: i % folds for i, text in enumerate(drawn)}
    return [fold_of[text] for text in texts]


def text_key(text: str) -> str:
    """Returns the digest of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
