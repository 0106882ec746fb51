"""Where this project's time goes, part by part, as a worker process."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from harness import Handlers, part_handlers, serve

from emr_ner_tf.data.reading import read_documents
from emr_ner_tf.inference.annotator import encode_texts
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.text.characters import look_up
from emr_ner_tf.text.spans import spans_from_tags
from emr_ner_tf.training.optimization import clip_by_global_norm
from tensorflow_impl.training import OurTrainer, start_training


def training_parts(trainer: OurTrainer, batch: int) -> dict[str, Callable[[], Any]]:
    """Returns functions that run each part of an update (with dropout, from random inputs) and the whole."""
    tagger, config = trainer.tagger, trainer.definition.config
    token_ids, tag_ids, length, _ = trainer.batches[batch]
    rows, width = token_ids.shape
    hidden = tf.random.normal([rows, width, tagger.encoder.hidden_size])
    joined = tf.random.normal([rows, width, 2 * config.model.units])
    variables = tagger.trainable_variables
    gradients = [tf.fill(variable.shape, 1e-4) for variable in variables]

    def crf_loss(inputs: tf.Tensor) -> tf.Tensor:
        return tagger.crf.negative_log_likelihood(tagger.linear(inputs), tag_ids, length)

    def update() -> None:
        clipped, _ = clip_by_global_norm(gradients, config.optimizer.clip_norm)
        trainer.optimizer.apply_gradients(
            zip(clipped, variables, strict=True), experimental_aggregate_gradients=False
        )

    head = tagger.linear.trainable_variables + tagger.crf.trainable_variables
    return {
        "update: encoder": _with_gradient(
            lambda _: tagger._encode(token_ids, length, True), None, tagger.encoder.trainable_variables
        ),
        "update: context": _with_gradient(
            lambda inputs: tagger.context(inputs, length, training=True),
            hidden,
            tagger.context.trainable_variables,
        ),
        "update: attention": _with_gradient(
            lambda inputs: tagger.attention(inputs, length, training=True),
            joined,
            tagger.attention.trainable_variables,
        ),
        "update: linear and CRF": _with_gradient(crf_loss, joined, head),
        "update: clipping and update": tf.function(lambda: trainer.strategy.run(update)),
        "update: whole": lambda: trainer.measure([batch]),
    }


def tagging_parts(trainer: OurTrainer, texts: Sequence[str], batch: int) -> dict[str, Callable[[], Any]]:
    """Returns functions that run each part of texts to entities, and of the model on the windows of one batch."""
    tagger, definition = trainer.tagger, trainer.definition
    ner_pipeline = NerPipeline(tagger, definition.vocabulary, definition.config.text)
    window_ids, _, window_length, _ = trainer.batches[batch]
    codes = tf.constant(definition.vocabulary.code_point_table())
    encoded = tf.constant(encode_texts(texts))

    def tokens_of() -> tuple[tf.Tensor, tf.Tensor]:
        return look_up(encoded, codes, tagger.special.pad)[1:]

    tokens, length = tokens_of()
    emissions = ner_pipeline.emissions(tokens, length)
    tags, _ = tagger.crf.decode(emissions, length)
    hidden = tagger._encode(window_ids, window_length, False)
    joined = tagger.context(hidden, window_length, training=False)

    def probabilities() -> tf.Tensor:
        return tagger.crf.span_probability(emissions, length, spans_from_tags(tags, length, tagger.table))

    parts = {
        "entities: characters to token ids": tokens_of,
        "entities: windows, model, stitching": lambda: ner_pipeline.emissions(tokens, length),
        "entities: CRF decoding": lambda: tagger.crf.decode(emissions, length),
        "entities: entity probabilities (ours alone)": probabilities,
        "entities: whole": lambda: ner_pipeline.entities(encoded),
        "model on one batch: encoder": lambda: tagger._encode(window_ids, window_length, False),
        "model on one batch: context": lambda: tagger.context(hidden, window_length, training=False),
        "model on one batch: attention": lambda: tagger.attention(joined, window_length, training=False),
        "model on one batch: whole": lambda: tagger(window_ids, window_length, training=False),
    }
    return {name: tf.function(part) for name, part in parts.items()}


def load(records: str, texts: int, **arguments: Any) -> Handlers:
    """Builds the model, writes what the peer needs, and reads the first `texts` records."""
    trainer = start_training(records=records, **arguments)
    documents = read_documents(records, require_entities=False)
    first_texts = [document.text for document in itertools.islice(documents, texts)]
    parts = training_parts(trainer, batch=0) | tagging_parts(trainer, first_texts, batch=0)
    return {"facts": lambda: trainer.facts} | part_handlers(parts)


def _with_gradient(
    call: Callable[[Any], tf.Tensor], inputs: tf.Tensor | None, variables: list[tf.Variable]
) -> Callable[[], Any]:
    sources = [*variables, *([] if inputs is None else [inputs])]

    @tf.function
    def run() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            if inputs is not None:
                tape.watch(inputs)
            outputs = tf.reduce_sum(call(inputs))
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(outputs, sources)]

    return run


if __name__ == "__main__":
    serve(load)
