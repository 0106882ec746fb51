"""The task of domain pre-training: a masked language model with next sentences, starting from a BERT encoder."""

import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.encoders.hub import check_named, local_folder
from emr_ner_tf.encoders.loading import load_encoder, load_vocabulary
from emr_ner_tf.encoders.saving import save_encoder
from emr_ner_tf.errors import UserError
from emr_ner_tf.models.tagger import SpecialTokens
from emr_ner_tf.pretraining.corpus import Corpus, Text, read_corpus
from emr_ner_tf.pretraining.head_weights import head_weights, read_heads
from emr_ner_tf.pretraining.masking import NO_LABEL, Masked
from emr_ner_tf.pretraining.mlm_dataset import pretraining_dataset
from emr_ner_tf.pretraining.model import PretrainingModel, Sums
from emr_ner_tf.pretraining.rng import HELDOUT
from emr_ner_tf.pretraining.sentence_pairs import Pairs
from emr_ner_tf.pretraining.settings import check_pretrain_config, pretrain_config
from emr_ner_tf.pretraining.task import BEFORE, PretrainingTask, check_output
from emr_ner_tf.text.vocabulary import Vocabulary
from emr_ner_tf.training.batching import plan_epoch
from emr_ner_tf.training.input_pipeline import DistributedBatches
from emr_ner_tf.training.learning_rates import encoder_rate
from emr_ner_tf.training.optimization import Optimizer, build_optimizer
from emr_ner_tf.training.run import run
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.task import Epoch
from emr_ner_tf.training.train_step import TrainStep, make_train_step

_ARCHITECTURE = "BertForPreTraining"


def pretrain(
    config: ConfigDict, model_dir: str, output: str, *, strategy_name: str = "one_device"
) -> dict[str, object]:
    """Adapts an encoder to unlabelled text, or resumes the run that `model_dir` holds.

    Args:
        config: resolved configuration; for a resumed run, that of its start.
        model_dir: directory for the files that `emr_ner_tf.training.run.run` names.
        output: directory for the adapted encoder with its heads, in the Hugging Face layout.
        strategy_name: name of a strategy in `emr_ner_tf.training.strategies`.

    Returns:
        The content of `metrics.json`.

    Raises:
        UserError: a value, a file, the encoder or the model directory is invalid, or there is too little text.
    """
    check_pretrain_config(config)
    check_output(output, model_dir)
    check_named(config.encoder)
    # `config.encoder` may be the prefix of a checkpoint in the directory.
    folder = local_folder(config.encoder)
    if folder is not None and os.path.realpath(output) == os.path.realpath(folder):
        raise UserError(
            f"--output must be another directory than that of config.encoder, got {output} for both"
        )
    return run(
        config,
        model_dir,
        lambda: _read(config),
        lambda corpus, strategy: _MlmTask(config, corpus, output, strategy),
        base=pretrain_config,
        strategy_name=strategy_name,
    )


def _read(config: ConfigDict) -> Corpus:
    own = load_vocabulary(config.encoder)

    def make_vocabulary(passages: Sequence[str]) -> Vocabulary:
        return own.extended(passages) if config.text.extend_vocabulary else own

    return read_corpus(
        config.data,
        config.train.seed,
        make_vocabulary,
        size=config.text.window,
        whole_words=config.masking.whole_words,
    )


class _MlmTask(PretrainingTask):
    """An encoder with BERT's heads: first, new heads are trained with the encoder frozen, then everything."""

    def __init__(
        self, config: ConfigDict, corpus: Corpus, output: str, strategy: tf.distribute.Strategy
    ) -> None:
        super().__init__(corpus, output)
        self._config, self._corpus, self._strategy = config, corpus, strategy
        vocabulary = corpus.vocabulary
        self._special = SpecialTokens(vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id)
        with strategy.scope():
            self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
            encoder = load_encoder(config.encoder, vocabulary=vocabulary, backend=config.encoder_backend)
            if config.text.window + 3 > encoder.max_positions:
                raise UserError(
                    f"config.text.window must be at most {encoder.max_positions - 3}, the encoder's "
                    f"{encoder.max_positions} positions less [CLS] and two [SEP], got {config.text.window}"
                )
            self.model = PretrainingModel(encoder, config.train.seed)
            self._new_heads = read_heads(self.model, config.encoder)
        make_dropout_stateless(self.model, seed=config.train.seed, step=self.step)
        masked, pairs = self._masked_pairs(corpus.heldout, HELDOUT)
        self._heldout = self._distributed(masked, pairs, self._plan(pairs, HELDOUT))
        self._sum_step = self._make_sum_step()
        self.facts |= {
            "held_masked": int((masked.labels != NO_LABEL).sum()),
            "held_pairs": int((pairs.other >= 0).sum()),
            "added_tokens": len(vocabulary.added),
        }
        self.epochs = self._make_epochs()

    def measure(self) -> dict[str, float]:
        """Returns the cross-entropy and the accuracy on the held-out masked characters and pairs."""
        totals = sum(self._sum_step(batch).numpy().astype(np.float64) for batch in self._heldout)
        sums = Sums(*totals.tolist())
        figures = {
            "mlm_loss": sums.mlm_loss / max(sums.mlm_count, 1.0),
            "mlm_accuracy": sums.mlm_hits / max(sums.mlm_count, 1.0),
        }
        if sums.nsp_count:
            figures["nsp_loss"] = sums.nsp_loss / sums.nsp_count
            figures["nsp_accuracy"] = sums.nsp_hits / sums.nsp_count
        return figures

    def save_result(self, output: str) -> None:
        """Writes the encoder with its heads."""
        encoder = self.model.encoder
        save_encoder(
            encoder,
            self._corpus.vocabulary,
            output,
            heads=head_weights(self.model),
            architecture=_ARCHITECTURE if encoder.prefix == "bert" else None,
        )

    def _make_epochs(self) -> list[Epoch]:
        """Plans all updates and creates the optimizers of both parts of the run."""
        settings, optimizing = self._config.train, self._config.optimizer
        heads: list[list[np.ndarray]] = []
        left = settings.head_steps if self._new_heads else 0
        while left:
            heads.append(self._plan_epoch(len(heads))[:left])
            left -= len(heads[-1])
        wholes = [self._plan_epoch(len(heads) + i) for i in range(settings.epochs)]
        variables = self.model.trainable_variables
        with self._strategy.scope():
            of_heads, of_all = (
                build_optimizer(optimizing, [group], sum(map(len, plans)), settings.precision)
                for group, plans in (
                    ((self._new_heads, optimizing.head_rate), heads),
                    ((variables, encoder_rate(self.model.encoder, optimizing.encoder_rate)), wholes),
                )
            )
        self.optimizer = tf.train.Checkpoint(heads=of_heads, all=of_all)
        logging.info(
            "%d windows of %d characters; heads only: %d updates; all %d parameters: %d updates; "
            "%d characters take rows of the vocabulary",
            self.facts["windows"],
            len(self._corpus.train.token_ids),
            sum(map(len, heads)),
            sum(v.shape.num_elements() for v in variables),
            sum(map(len, wholes)),
            self.facts["added_tokens"],
        )
        return [
            *self._part("heads", heads, 0, self._train_step(self._new_heads, of_heads), measured=False),
            BEFORE,
            *self._part("epoch", wholes, len(heads), self._train_step(variables, of_all), measured=True),
        ]

    def _part(
        self, kind: str, plans: list[list[np.ndarray]], first: int, train_step: TrainStep, *, measured: bool
    ) -> list[Epoch]:
        """Returns the epochs of one part of the run; `first` is the number of epochs before it, with other masks."""
        names = [f"{kind} {number}/{len(plans)}" for number in range(1, len(plans) + 1)]
        return [
            Epoch(
                name,
                len(plan),
                lambda taken, epoch=first + i, plan=plan: self._distributed(
                    *self._masked_pairs(self._corpus.train, epoch), plan[taken:]
                ),
                train_step,
                {"name": name},
                measured,
            )
            for i, (name, plan) in enumerate(zip(names, plans, strict=True))
        ]

    def _train_step(self, variables: list[tf.Variable], optimizer: Optimizer) -> TrainStep:
        return make_train_step(
            self.model.scaled_loss,
            variables,
            optimizer,
            self.step,
            self._strategy,
            self._config.optimizer.clip_norm,
            self._heldout.element_spec,
        )

    def _plan_epoch(self, epoch: int) -> list[np.ndarray]:
        """Plans an epoch. Its pairs are created again when it begins, because those of all epochs would fill memory."""
        return self._plan(self._pairs(self._corpus.train, epoch), epoch)

    def _plan(self, pairs: Pairs, epoch: int) -> list[np.ndarray]:
        seed, budget = self._config.train.seed, self._config.train.token_budget
        return list(
            plan_epoch(pairs.lengths, seed=seed, epoch=epoch, batch_size=1, token_budget=budget).batches
        )

    def _pairs(self, text: Text, epoch: int) -> Pairs:
        return text.pairs(size=self._config.text.window, seed=self._config.train.seed, epoch=epoch)

    def _masked_pairs(self, text: Text, epoch: int) -> tuple[Masked, Pairs]:
        """Returns the masks and the pairs of a text in an epoch."""
        masked = text.masked(rate=self._config.masking.rate, seed=self._config.train.seed, epoch=epoch)
        return masked, self._pairs(text, epoch)

    def _distributed(self, masked: Masked, pairs: Pairs, plan: list[np.ndarray]) -> DistributedBatches:
        return DistributedBatches(
            self._strategy, functools.partial(pretraining_dataset, masked, pairs, plan, self._special)
        )

    def _make_sum_step(self) -> Callable[..., tf.Tensor]:
        def sum_replica(*batch):
            *inputs, _, _ = batch
            return tf.stack(self.model.sums(*inputs))

        @tf.function(input_signature=[self._heldout.element_spec], autograph=False)
        def sum_step(batch):
            sums = self._strategy.run(sum_replica, args=batch)
            return self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)

        return sum_step
