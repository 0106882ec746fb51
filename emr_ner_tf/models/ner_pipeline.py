"""Maps raw text to entities in one graph: the tagger with its text path, windows and decoding.

Training validates with this object and the export saves it, so that there is only one path from text to entities.
"""

import tensorflow as tf

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.models.ensemble import Ensemble
from emr_ner_tf.models.tagger import Tagger
from emr_ner_tf.text.characters import look_up
from emr_ner_tf.text.spans import Spans, counts, spans_from_tags, surface_forms, to_dense
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.text.windows import map_windows


class NerPipeline(tf.Module):
    """Functions of texts and of token ids for records of any length, including 0.

    Attributes:
        tagger: model that computes the emissions of windows.
        vocabulary: vocabulary of the encoder.
        table: the tags.
        min_probability: `entities` leaves out mentions with a lower probability; 0 leaves out none.
        look_up: maps texts, string [B], to code points and token ids, int32 [B, T], and lengths, int32 [B].
        emissions: maps token ids, int32 [B, T], and lengths, int32 [B], to emissions of records, float32 [B, T, K].
    """

    def __init__(
        self,
        tagger: Tagger | Ensemble,
        vocabulary: Vocabulary,
        settings: ConfigDict,
        *,
        min_probability: float = 0.0,
    ) -> None:
        """Wraps a tagger.

        Args:
            tagger: tagger with its variables.
            vocabulary: vocabulary of its encoder.
            settings: section `text` of the configuration.
            min_probability: minimum probability of an entity, 0 to 1.
        """
        super().__init__(name="text_tagger")
        self.tagger = tagger
        self.vocabulary = vocabulary
        self.table = tagger.table
        self.min_probability = min_probability
        self._windows = {
            "size": settings.window,
            "overlap": settings.overlap,
            "slack": settings.slack,
            "token_budget": settings.token_budget,
        }
        # Tensors instead of lists, so that all signatures capture the same ones and the export contains them once.
        self._codes = tf.constant(vocabulary.code_point_table())
        self._breaks = tf.constant(vocabulary.break_table())
        self._labels = tf.constant(self.table.labels)
        self._tags = tf.constant(self.table.tags)
        # Not inlined into the loop over the windows: there, the constants of an activation are inputs of the loop, and
        # grappler does not fuse the activation into a product.
        self._scores = tf.function(
            lambda token_ids, length: self.tagger(token_ids, length, training=False),
            input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)],
            autograph=False,
            experimental_attributes={"_noinline": True},
        )
        # The signatures call these three, so that each of them is traced, exported and loaded only once. AutoGraph is
        # not needed, since all loops are `tf.while_loop`, and takes seconds.
        self.look_up = tf.function(
            self._look_up, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )
        self.emissions = tf.function(
            self._emissions,
            input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)],
            autograph=False,
        )
        self._best_path = tf.function(
            self.tagger.crf.decode,
            input_signature=[
                tf.TensorSpec([None, None, self.table.num_tags]),
                tf.TensorSpec([None], tf.int32),
            ],
            autograph=False,
        )

    def _look_up(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Finds the token of each character.

        Args:
            text: string [B], UTF-8; a malformed sequence counts as U+FFFD.

        Returns:
            Code points and token ids, int32 [B, T], and lengths, int32 [B].
        """
        return look_up(text, self._codes, self.vocabulary.pad_id)

    def entities(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the mentions of each text.

        Args:
            text: string [B], UTF-8; a malformed sequence counts as U+FFFD.

        Returns:
            `num_entities` int32 [B]; `start`, `end` int32 [B, E] in code points; `label`, `mention` string [B, E];
            `score` float32 [B, E], the mention's probability. Padded with -1, "" and 0.
        """
        code_points, tokens, length = self.look_up(text)
        emissions = self.emissions(tokens, length)
        tag_ids, _ = self._best_path(emissions, length)
        spans = spans_from_tags(tag_ids, length, self.table)
        score = self.tagger.crf.span_probability(emissions, length, spans)
        if self.min_probability:
            kept = score >= self.min_probability
            score = tf.boolean_mask(score, kept)
            spans = Spans(*(tf.boolean_mask(field, kept) for field in spans))
        batch = tf.shape(text)[0]
        return {
            "num_entities": counts(spans, batch),
            "start": to_dense(spans.start, spans, batch, -1),
            "end": to_dense(spans.end, spans, batch, -1),
            "label": to_dense(tf.gather(self._labels, spans.label), spans, batch, ""),
            "mention": to_dense(surface_forms(code_points, spans), spans, batch, ""),
            "score": to_dense(score, spans, batch, 0.0),
        }

    def tags(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the tag of each character: `tags` string [B, T], padded with "", and `length` int32 [B]."""
        _, tokens, length = self.look_up(text)
        tag_ids, _ = self._best_path(self.emissions(tokens, length), length)
        real = tf.sequence_mask(length, tf.shape(tag_ids)[1])
        return {"tags": tf.where(real, tf.gather(self._tags, tag_ids), ""), "length": length}

    def decode(self, token_ids: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the best legal path: `tag_ids` int32 [B, T], 0 in the padding, and `path_score` float32 [B]."""
        length = _clipped(token_ids, length)
        tag_ids, score = self._best_path(self.emissions(token_ids, length), length)
        return {"tag_ids": tag_ids, "path_score": score}

    def marginals(self, token_ids: tf.Tensor, length: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the probability of each tag at each character: `marginals` float32 [B, T, K], 0 in the padding."""
        length = _clipped(token_ids, length)
        return {"marginals": self.tagger.crf.marginals(self.emissions(token_ids, length), length)}

    def _emissions(self, token_ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Returns the emissions of whole records, float32 [B, T, K], merged from overlapping windows.

        Args:
            token_ids: int32 [B, T], no special tokens; an id that is not in the vocabulary counts as [UNK].
            length: int32 [B].
        """
        rows = len(self.vocabulary.tokens)
        known = (token_ids >= 0) & (token_ids < rows)
        tokens = tf.where(known, token_ids, self.vocabulary.unk_id)
        return map_windows(
            self._window_scores,
            tokens,
            length,
            tf.gather(self._breaks, tokens),
            width=self.table.num_tags,
            **self._windows,
        )

    def _window_scores(self, token_ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Calls `_scores` as a function without side effects, so that a loop can run two calls at the same time.

        TensorFlow would run calls of a function that reads variables one after the other. The result has no static
        shape.
        """
        if tf.executing_eagerly():
            return self._scores(token_ids, length)
        function = self._scores.get_concrete_function()
        function.add_to_graph()
        (scores,) = tf.raw_ops.PartitionedCall(
            args=[token_ids, length, *function.captured_inputs],
            Tout=[output.dtype for output in function.outputs],
            f=function,
        )
        return scores


def _clipped(token_ids: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(length, 0, tf.shape(token_ids)[1])
