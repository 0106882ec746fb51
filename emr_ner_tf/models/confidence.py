"""The confidence of a model in the tags of a text: the probability of the best path per character."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.text.packing import map_by_length

_BATCH_CHARACTERS = 16_384


class Confidence:
    """Computes the log-probability of the best path, divided by the number of characters.

    The paths of long texts are always improbable; the division makes them comparable with short ones.

    Args:
        pipeline: the model.

    Source: Shen, Yun, Lipton, Kronrod, Anandkumar, "Deep Active Learning for Named Entity Recognition" (2018),
    maximum normalized log-probability.
    """

    def __init__(self, pipeline: NerPipeline) -> None:
        def log_probability(text: tf.Tensor) -> tf.Tensor:
            _, tokens, length = pipeline.look_up(text)
            total = pipeline.tagger.crf.best_path_log_probability(pipeline.emissions(tokens, length), length)
            return total / tf.cast(tf.maximum(length, 1), tf.float32)

        self._log_probability = tf.function(
            log_probability, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    def per_character(
        self, texts: Sequence[str], on_progress: Callable[[int], object] = lambda _: None
    ) -> list[float]:
        """Returns the log-probability per character of each text, at most 0; 0 for an empty text.

        Args:
            texts: texts that can be encoded as UTF-8.
            on_progress: function to call after each batch with its number of texts.
        """
        return map_by_length(
            lambda members: (
                self._log_probability(tf.constant([texts[i].encode() for i in members], tf.string))
                .numpy()
                .tolist()
            ),
            [len(text) for text in texts],
            budget=_BATCH_CHARACTERS,
            on_progress=on_progress,
        )
