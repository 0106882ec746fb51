"""The task of ELMo's language model: its vocabulary, windows and objective, and the encoder as its result."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.encoders.elmo import MODEL_TYPE, Elmo
from emr_ner_tf.encoders.saving import save_encoder
from emr_ner_tf.pretraining.bilm import CharacterLM
from emr_ner_tf.pretraining.corpus import Corpus, Text, read_corpus
from emr_ner_tf.pretraining.elmo_dataset import language_model_dataset, window_bounds
from emr_ner_tf.pretraining.elmo_settings import check_elmo_config, elmo_config
from emr_ner_tf.pretraining.task import BEFORE, PretrainingTask, check_output
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training.batching import plan_epoch
from emr_ner_tf.training.input_pipeline import DistributedBatches
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.run import run
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.task import Epoch
from emr_ner_tf.training.train_step import make_train_step

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_MEASURED_AT_ONCE = 8192


def pretrain_elmo(
    config: ConfigDict, model_dir: str, output: str, *, strategy_name: str = "one_device"
) -> dict[str, Any]:
    """Trains a bidirectional character language model, or resumes the run that `model_dir` holds.

    Args:
        config: resolved configuration that starts from `elmo_config`.
        model_dir: directory for the files that `run` names.
        output: directory for the language model, for `config.encoder` of a tagger.
        strategy_name: name of a strategy in `emr_ner_tf.training.strategies`.

    Returns:
        The content of `metrics.json`. Perplexities are per character or end of text; [UNK] counts as one character. The
        joint perplexity is the geometric mean of both directions.

    Raises:
        UserError: a value or a file is invalid, or as `run`.
    """
    check_elmo_config(config)
    check_output(output, model_dir)
    return run(
        config,
        model_dir,
        lambda: _read(config),
        lambda corpus, strategy: _ElmoTask(config, corpus, output, strategy),
        base=elmo_config,
        strategy_name=strategy_name,
    )


def _read(config: ConfigDict) -> Corpus:
    def make_vocabulary(passages: Sequence[str]) -> Vocabulary:
        return Vocabulary(_SPECIAL_TOKENS).extended(passages, min_count=config.text.min_count)

    return read_corpus(config.data, config.train.seed, make_vocabulary, size=config.text.window)


class _ElmoTask(PretrainingTask):
    """The language model with its optimizer and epochs; built under a strategy."""

    def __init__(
        self, config: ConfigDict, corpus: Corpus, output: str, strategy: tf.distribute.Strategy
    ) -> None:
        super().__init__(corpus, output)
        self._corpus, self._strategy = corpus, strategy
        size, settings = len(corpus.vocabulary.tokens), config.train
        self.facts |= {
            "vocabulary": size,
            "unknown_share": float(np.mean(corpus.heldout.token_ids == corpus.vocabulary.unk_id)),
        }
        self._hf_config = config.model.to_dict() | {"model_type": MODEL_TYPE, "vocab_size": size}
        plans = [
            _plan(corpus.train, settings.seed, epoch, settings.token_budget)
            for epoch in range(settings.epochs)
        ]
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            self.model = CharacterLM(self._hf_config, size)
            self.optimizer = build_optimizer(
                config.optimizer,
                [(self.model.trainable_variables, config.optimizer.encoder_rate)],
                sum(map(len, plans)),
                settings.precision,
            )
        make_dropout_stateless(self.model, seed=settings.seed, step=self.step)
        self.epochs = [BEFORE, *self._epochs(plans, config.optimizer.clip_norm)]
        heldout = _plan(corpus.heldout, seed=0, epoch=0, budget=_MEASURED_AT_ONCE)
        self._heldout = language_model_dataset(corpus.heldout, heldout, replicas=1, first=0, count=1)
        self._losses = tf.function(
            lambda token_ids, length: self.model.losses(token_ids, length, training=False),
            input_signature=self._heldout.element_spec[:2],
            autograph=False,
        )

    def measure(self) -> dict[str, float]:
        """Returns the perplexities on the held-out passages."""
        sums = sum(
            self._losses(token_ids, length).numpy().astype(np.float64)
            for token_ids, length, _ in self._heldout
        )
        starts, ends = window_bounds(self._corpus.heldout)
        forward, backward = sums / (ends - starts + 1).sum()
        return {
            "perplexity": float(np.exp((forward + backward) / 2)),
            "forward_perplexity": float(np.exp(forward)),
            "backward_perplexity": float(np.exp(backward)),
        }

    def save_result(self, output: str) -> None:
        """Writes the language model as an encoder."""
        encoder = Elmo(self._hf_config, len(self._corpus.vocabulary.tokens))
        encoder.language_model = self.model.language_model
        heads = {"lm_head.bias": self.model.output_bias.numpy()}
        save_encoder(encoder, self._corpus.vocabulary, output, heads=heads)

    def _epochs(self, plans: Sequence[Sequence[np.ndarray]], clip_norm: float) -> list[Epoch]:
        train_step = make_train_step(
            self.model.scaled_loss,
            self.model.trainable_variables,
            self.optimizer,
            self.step,
            self._strategy,
            clip_norm,
            self._batches(plans[0][:1]).element_spec,
        )
        names = [f"epoch {number}/{len(plans)}" for number in range(1, len(plans) + 1)]
        return [
            Epoch(
                name,
                len(plan),
                lambda taken, plan=plan: self._batches(plan[taken:]),
                train_step,
                {"name": name},
            )
            for name, plan in zip(names, plans, strict=True)
        ]

    def _batches(self, plan: Sequence[np.ndarray]) -> DistributedBatches:
        return DistributedBatches(
            self._strategy, functools.partial(language_model_dataset, self._corpus.train, plan)
        )


def _plan(text: Text, seed: int, epoch: int, budget: int) -> tuple[np.ndarray, ...]:
    starts, ends = window_bounds(text)
    return plan_epoch(ends - starts, seed=seed, epoch=epoch, batch_size=1, token_budget=budget).batches
