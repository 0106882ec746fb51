"""ELMo's language model from unlabelled text: vocabulary, windows, objective, and the directory that a tagger takes."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.encoders.elmo import MODEL_TYPE, Elmo
from emr_ner_tf.encoders.saving import save_encoder
from emr_ner_tf.pretraining.bilm import CharacterLM
from emr_ner_tf.pretraining.corpus import Text, build_text
from emr_ner_tf.pretraining.elmo_dataset import language_model_dataset, window_bounds
from emr_ner_tf.pretraining.elmo_settings import check_elmo_config, elmo_config
from emr_ner_tf.pretraining.passage_selection import gather_passages
from emr_ner_tf.pretraining.run import Epoch, Task, check_output, run
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training.batching import plan_epoch
from emr_ner_tf.training.failed_writes import failed_writes_named
from emr_ner_tf.training.input_pipeline import worker_shard
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.train_step import make_train_step

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_MEASURED_AT_ONCE = 8192


def pretrain_elmo(
    config: ConfigDict, model_dir: str, output: str, *, strategy_name: str = "one_device"
) -> dict[str, Any]:
    """Trains a character language model in both directions, or goes on with the run that `model_dir` holds.

    Args:
        config: of `elmo_config`, resolved.
        model_dir: as `run` describes it.
        output: takes the language model at the end, as `config.encoder` of a tagger names it.
        strategy_name: of `emr_ner_tf.training.strategies`.

    Returns:
        What `metrics.json` says. A perplexity is that of a character or an end of text, [UNK] one of the
        characters; the joint one is the geometric mean of both directions'.

    Raises:
        UserError: a wrong value or file, or as `run`.
    """
    check_elmo_config(config)
    check_output(output, model_dir)
    return run(
        config,
        model_dir,
        lambda strategy: _task(config, output, strategy),
        base=elmo_config,
        strategy_name=strategy_name,
    )


def _task(config: ConfigDict, output: str, strategy: tf.distribute.Strategy) -> Task:
    passages = gather_passages(config.data, config.train.seed)
    vocabulary = Vocabulary(_SPECIAL_TOKENS).extended(passages.train, min_count=config.text.min_count)
    train, heldout = (
        build_text(texts, vocabulary, size=config.text.window, whole_words=False)
        for texts in (passages.train, passages.heldout)
    )
    plans = [_plan(train, config, epoch) for epoch in range(config.train.epochs)]
    hf_config = config.model.to_dict() | {"model_type": MODEL_TYPE, "vocab_size": len(vocabulary.tokens)}
    with strategy.scope():
        step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        model = CharacterLM(hf_config, len(vocabulary.tokens))
        optimizer = build_optimizer(config, model.trainable_variables, [], sum(map(len, plans)))
    make_dropout_stateless(model, seed=config.train.seed, step=step)

    def batches(plan: Sequence[np.ndarray]) -> tf.data.Dataset:
        return strategy.distribute_datasets_from_function(
            lambda context: language_model_dataset(train, plan, **worker_shard(context))
        )

    train_step = make_train_step(
        model.scaled_loss,
        model.trainable_variables,
        optimizer,
        step,
        strategy,
        config.optimizer.clip_norm,
        batches(plans[0][:1]).element_spec,
    )

    def epoch(number: int) -> Epoch:
        plan = plans[number]
        name = f"epoch {number + 1}/{len(plans)}"
        return Epoch(name, len(plan), lambda taken: batches(plan[taken:]), train_step)

    return Task(
        model=model,
        optimizer=optimizer,
        step=step,
        digest=train.digest() + heldout.digest(),
        warm_up=(),
        epochs=[epoch(number) for number in range(len(plans))],
        evaluate=_evaluation(model, heldout),
        save=lambda: _save(model, hf_config, vocabulary, output),
        facts={
            "passages": len(passages.train) + len(passages.heldout),
            "left_out": passages.left_out,
            "held_out": len(passages.heldout),
            "characters": len(train.token_ids) + len(heldout.token_ids),
            "windows": len(train.windows.first),
            "vocabulary": len(vocabulary.tokens),
            "unknown_share": float(np.mean(heldout.token_ids == vocabulary.unk_id)),
        },
    )


def _plan(text: Text, config: ConfigDict, epoch: int) -> tuple[np.ndarray, ...]:
    starts, ends = window_bounds(text)
    seed, budget = config.train.seed, config.train.token_budget
    return plan_epoch(ends - starts, seed=seed, epoch=epoch, batch_size=1, token_budget=budget).batches


def _evaluation(model: CharacterLM, heldout: Text) -> Callable[[], dict[str, float]]:
    """The function that measures perplexities of held-out text."""
    starts, ends = window_bounds(heldout)
    plan = plan_epoch(ends - starts, seed=0, epoch=0, batch_size=1, token_budget=_MEASURED_AT_ONCE)
    dataset = language_model_dataset(heldout, plan.batches, replicas=1, first=0, count=1)
    losses = tf.function(
        lambda token_ids, length: model.losses(token_ids, length, training=False),
        input_signature=dataset.element_spec[:2],
    )

    def evaluate() -> dict[str, float]:
        sums = sum(losses(token_ids, length).numpy().astype(np.float64) for token_ids, length, _ in dataset)
        forward, backward = sums / (ends - starts + 1).sum()
        return {
            "perplexity": float(np.exp((forward + backward) / 2)),
            "forward_perplexity": float(np.exp(forward)),
            "backward_perplexity": float(np.exp(backward)),
        }

    return evaluate


def _save(
    model: CharacterLM, hf_config: Mapping[str, Any], vocabulary: Vocabulary, output: str | os.PathLike[str]
) -> None:
    encoder = Elmo(hf_config, len(vocabulary.tokens))
    encoder.language_model = model.language_model
    with failed_writes_named(output):
        save_encoder(encoder, vocabulary, output, heads={"lm_head.bias": model.output_bias.numpy()})
