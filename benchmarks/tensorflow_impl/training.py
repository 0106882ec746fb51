"""This project's side of the training step, as a worker process."""

import pathlib
import runpy
import time
from typing import Any

import numpy as np
import tensorflow as tf
from harness import FOLDER, Handlers, serve

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.data.tag_scheme import TagTable
from emr_ner_tf.models.builder import build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.resources import build_resources
from emr_ner_tf.training.batching import plan_epoch
from emr_ner_tf.training.dataset import training_records
from emr_ner_tf.training.examples import build_examples
from emr_ner_tf.training.input_pipeline import training_dataset
from emr_ner_tf.training.learning_rates import learning_rates
from emr_ner_tf.training.optimization import build_optimizer
from emr_ner_tf.training.stateless_dropout import make_dropout_stateless
from emr_ner_tf.training.strategies import build_strategy
from emr_ner_tf.training.train_step import make_train_step
from tensorflow_impl.portable import save_model
from tensorflow_impl.threads import start_tensorflow


class OurTrainer:
    """The training step of `emr-ner train`, on batches in memory.

    Attributes:
        tagger: starts from the encoder's weights and random ones.
        definition: of it.
        optimizer: of `configs/default.py`.
        strategy: one device.
        batches: (token_ids int32 [B, T], tag_ids int32 [B, T], length int32 [B], global_size float32).
        facts: numbers about the batches and the model.
    """

    def __init__(self, encoder: str, records: str, batches: int, precision: str = "float32") -> None:
        """Builds the model of `configs/default.py` and the first full batches of its first epoch."""
        config = default_config(encoder, records)
        if precision == "bfloat16":
            config.train.precision = "mixed_bfloat16"
            tf.keras.mixed_precision.set_global_policy(config.train.precision)
        if config.train.deterministic:
            tf.config.experimental.enable_op_determinism()
        tf.keras.utils.set_random_seed(config.train.seed)
        documents, _, labels = training_records(config.data, config.train.seed, None)
        vocabulary = build_resources(config, documents).vocabulary
        examples = build_examples(
            documents,
            vocabulary,
            TagTable(labels, config.model.scheme),
            window=config.text.window,
            slack=config.text.slack,
        )
        size = config.train.batch_size
        plan = plan_epoch(examples.lengths, seed=config.train.seed, epoch=0, batch_size=size)
        full = [batch for batch in plan.batches if len(batch) == size][:batches]
        self.strategy = build_strategy("one_device")
        with self.strategy.scope():
            step = tf.Variable(0, dtype=tf.int64, trainable=False)
            self.tagger, self.definition = build_tagger(ModelDefinition(config, vocabulary, labels))
            total_steps = len(plan.batches) * config.train.epochs
            rates = learning_rates(self.tagger, config.optimizer)
            self.optimizer = build_optimizer(config.optimizer, rates, total_steps, config.train.precision)
        make_dropout_stateless(self.tagger, seed=config.train.seed, step=step)
        dataset = training_dataset(
            examples, full, pad_id=self.tagger.special.pad, replicas=1, first=0, count=1
        )
        self._step = make_train_step(
            self.tagger.scaled_loss,
            self.tagger.trainable_variables,
            self.optimizer,
            step,
            self.strategy,
            config.optimizer.clip_norm,
            dataset.element_spec,
        )
        self.batches = list(dataset)
        lengths = [examples.lengths[batch] for batch in full]
        padded = sum(len(batch) * int(batch.max()) for batch in lengths)
        self.facts = {
            "batches": len(full),
            "batch_size": size,
            "longest_window": max(int(batch.max()) for batch in lengths),
            "characters": int(sum(batch.sum() for batch in lengths)),
            "padding_share": 1 - float(sum(batch.sum() for batch in lengths)) / padded,
            "total_steps": total_steps,
            "parameters": sum(v.shape.num_elements() for v in self.tagger.trainable_variables),
        }

    def save(self, folder: pathlib.Path) -> None:
        """Writes weights, settings and batches for the peer."""
        config, total = self.definition.config, self.facts["total_steps"]
        recipe = config.optimizer.to_dict() | {
            "total_steps": total,
            "warmup_steps": round(config.optimizer.warmup_fraction * total),
        }
        save_model(
            self.tagger,
            self.definition,
            folder,
            optimizer=recipe,
            batches=len(self.batches),
            autocast=config.train.precision != "float32",
        )
        special, arrays = self.tagger.special, {}
        for i, (token_ids, tag_ids, length, _) in enumerate(self.batches):
            rows, width = token_ids.shape
            with_edges = np.full((rows, width + 2), special.pad, np.int64)
            with_edges[:, 0] = special.cls
            with_edges[:, 1:-1] = token_ids
            with_edges[np.arange(rows), length.numpy() + 1] = special.sep
            arrays |= {f"token_ids_{i}": with_edges, f"tag_ids_{i}": tag_ids.numpy().astype(np.int64)}
            arrays[f"length_{i}"] = length.numpy().astype(np.int64)
        np.savez(folder / "batches.npz", **arrays)

    def warm_up(self, batches: list[int]) -> dict[str, Any]:
        """Traces for every shape: one update on fewer rows, then one on each of these batches."""
        token_ids, tag_ids, length, _ = self.batches[batches[0]]
        self._step((token_ids[:3], tag_ids[:3], length[:3], tf.constant(3.0)))
        return self.measure(batches)

    def check(self, batch: int) -> dict[str, Any]:
        """Loss and joint norm of the gradients, dropout off, nothing updated."""
        token_ids, tag_ids, length, size = self.batches[batch]
        dropouts = [
            module for module in self.tagger.submodules if isinstance(module, tf.keras.layers.Dropout)
        ]
        rates = [dropout.rate for dropout in dropouts]
        for dropout in dropouts:
            dropout.rate = 0.0
        # Not training=False: training may take other kernels.
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(self.tagger.loss_of(token_ids, tag_ids, length, training=True)) / size
        for dropout, rate in zip(dropouts, rates, strict=True):
            dropout.rate = rate
        gradients = tape.gradient(loss, self.tagger.trainable_variables)
        norm = tf.linalg.global_norm([tf.convert_to_tensor(gradient) for gradient in gradients])
        return {"loss": float(loss), "gradient_norm": float(norm)}

    def measure(self, batches: list[int]) -> dict[str, Any]:
        """Returns the time and the losses of one update on each of these batches."""
        started = time.perf_counter()
        losses = [float(self._step(self.batches[i])[0]) for i in batches]
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "losses": losses, "traces": self._step.experimental_get_tracing_count()}


def default_config(encoder: str, records: str) -> ConfigDict:
    """Returns the recipe of `configs/default.py`, on these records, none of them set apart."""
    config = runpy.run_path(str(FOLDER.parent / "configs" / "default.py"))["get_config"]()
    config.encoder = encoder
    config.data.train = records
    config.data.validation_fraction = 0.0
    return config


def start_training(
    encoder: str, records: str, batches: int, folder: str, threads: int, precision: str = "float32"
) -> OurTrainer:
    """Builds the model and writes what the peer needs."""
    start_tensorflow(threads)
    trainer = OurTrainer(encoder, records, batches, precision)
    trainer.save(pathlib.Path(folder))
    return trainer


def load(**arguments: Any) -> Handlers:
    """Answers by a trainer of these arguments."""
    trainer = start_training(**arguments)
    return {
        "facts": lambda: trainer.facts,
        "check": trainer.check,
        "warm_up": trainer.warm_up,
        "measure": trainer.measure,
    }


if __name__ == "__main__":
    serve(load)
