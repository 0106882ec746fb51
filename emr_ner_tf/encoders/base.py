"""What every encoder offers, and how it takes a checkpoint's weights: each variable accounted for, or an error."""

import abc
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from emr_ner_tf.errors import UserError

# What a checkpoint may hold and an encoder does not take: the pooler, the heads of pre-training and of tasks, and
# buffers of integers. The written exceptions to "every variable is accounted for".
_NOT_TAKEN = re.compile(
    r"(pooler|cls|mlm|nsp|lm_head|predictions|sop_classifier|generator_predictions|generator_lm_head"
    r"|discriminator_predictions|classifier|pre_classifier|qa_outputs|vocab_transform|vocab_layer_norm"
    r"|vocab_projector)\.|embeddings\.(position_ids|token_type_ids)$"
)


class WeightMapping(NamedTuple):
    """Where one tensor of a checkpoint goes.

    Attributes:
        name: as PyTorch's class in the Hugging Face layout names it, without the base model's prefix.
        variable: takes the value.
        shape: of the tensor in a checkpoint.
        axes: order in which the tensor's axes stand in the variable, which may split them further.
    """

    name: str
    variable: tf.Variable
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def value(self) -> np.ndarray:
        """Returns the tensor of a checkpoint, float32."""
        value = self.variable.numpy().reshape([self.shape[axis] for axis in self.axes])
        return value.transpose(np.argsort(self.axes))

    def assign(self, value: np.ndarray) -> None:
        """Takes the tensor of a checkpoint."""
        self.variable.assign(value.transpose(self.axes).reshape(self.variable.shape))


class Encoder(tf.keras.layers.Layer, abc.ABC):
    """Token ids, special tokens included, to a vector for each.

    Its dropout is all in `tf.keras.layers.Dropout` objects that `submodules` reaches.

    Attributes:
        backend: the library that it is built on.
        hidden_size: width H of its output.
        max_positions: most tokens that it takes at once, special ones included.
        vocabulary_size: rows of its token embedding.
        prefix: what the Hugging Face layout puts before a name when a head stands on the model: `bert`.
        token_table: name of the token embedding in `weight_mappings`.
        num_segments: segment ids that it tells apart; with 1, `call` takes none.
    """

    backend: str
    prefix: str
    token_table: str
    num_segments: int = 1

    def __init__(
        self, hf_config: Mapping[str, Any], *, vocabulary_size: int, hidden_size: int, max_positions: int
    ) -> None:
        super().__init__(name="encoder")
        # As text: Keras would wrap a dict into something that is saved with the weights and is no dict any more.
        self._hf_config = json.dumps(dict(hf_config) | {"vocab_size": vocabulary_size})
        self.vocabulary_size = vocabulary_size
        self.hidden_size = hidden_size
        self.max_positions = max_positions

    @property
    def hf_config(self) -> dict[str, Any]:
        """The configuration as `config.json` of the Hugging Face layout has it; `vocab_size` counts all rows."""
        return json.loads(self._hf_config)

    @abc.abstractmethod
    def call(
        self,
        token_ids: tf.Tensor,
        padding_mask: tf.Tensor,
        training: bool | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Encodes.

        Args:
            token_ids: int32 [B, T], [CLS] and [SEP] included; T at most `max_positions`.
            padding_mask: bool [B, T], True at real tokens. No position attends to another where it is False.
            training: whether dropout is on.
            segment_ids: int32 [B, T], below `num_segments`; None: all 0.

        Returns:
            float [B, T, H] in the policy's compute dtype.
        """

    @abc.abstractmethod
    def weight_mappings(self) -> Iterator[WeightMapping]:
        """Yields every variable with its place in a checkpoint."""

    def randomly_initialized_variables(self) -> list[tf.Variable]:
        """Trainable variables that no checkpoint began: they learn at the head's rate."""
        return []

    def hf_weights(self) -> dict[str, np.ndarray]:
        """Returns the weights, float32, as PyTorch's class in the Hugging Face layout has them."""
        return {mapping.name: mapping.value() for mapping in self.weight_mappings()}

    def assign(self, weights: Mapping[str, np.ndarray], source: str) -> None:
        """Gives every variable its value.

        Args:
            weights: by name, `prefix` taken off; the token table with a row for each token of the vocabulary.
            source: of the weights, for errors.

        Raises:
            UserError: a name is missing or not expected, or a shape differs.
        """
        weight_mappings = list(self.weight_mappings())
        expected = {mapping.name for mapping in weight_mappings}
        missing = [mapping.name for mapping in weight_mappings if mapping.name not in weights]
        unexpected = [name for name in weights if name not in expected and not _NOT_TAKEN.match(name)]
        if missing or unexpected:
            raise UserError(
                f"{source}: must hold exactly the weights of the encoder that its config.json describes, "
                f"got {_first(missing)} missing and {_first(unexpected)} not expected "
                "(a pooler and heads may be there: they are left out)"
            )
        for name, _, shape, _ in weight_mappings:
            if weights[name].shape != shape:
                raise UserError(
                    f"{source}: `{name}` must have shape {list(shape)} by config.json, "
                    f"got {list(weights[name].shape)}"
                )
        for mapping in weight_mappings:
            mapping.assign(weights[mapping.name])


def _first(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(f'`{name}`' for name in names[:3])}{more}"
