"""The interface of all encoders, and the assignment of a checkpoint's weights, which accounts for every variable."""

import abc
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from emr_ner_tf.errors import UserError

# Variables of a checkpoint that an encoder ignores: the pooler, the heads of pre-training and of tasks, and integer
# buffers. They are the only exceptions to "every variable is accounted for".
_NOT_TAKEN = re.compile(
    r"(pooler|cls|mlm|nsp|lm_head|predictions|sop_classifier|generator_predictions|generator_lm_head"
    r"|discriminator_predictions|classifier|pre_classifier|qa_outputs|vocab_transform|vocab_layer_norm"
    r"|vocab_projector)\.|embeddings\.(position_ids|token_type_ids)$"
)


class WeightMapping(NamedTuple):
    """Maps one tensor of a checkpoint to a variable.

    Attributes:
        name: name in PyTorch's class of the Hugging Face layout, without the prefix of the base model.
        variable: the variable.
        shape: shape of the tensor in a checkpoint.
        axes: order of the tensor's axes in the variable, which may split them further.
    """

    name: str
    variable: tf.Variable
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def value(self) -> np.ndarray:
        """Returns the value of the variable as the tensor of a checkpoint, float32."""
        value = self.variable.numpy().reshape([self.shape[axis] for axis in self.axes])
        return value.transpose(np.argsort(self.axes))

    def assign(self, value: np.ndarray) -> None:
        """Assigns the tensor of a checkpoint to the variable."""
        self.variable.assign(value.transpose(self.axes).reshape(self.variable.shape))


class Encoder(tf.keras.layers.Layer, abc.ABC):
    """Maps token ids, special tokens included, to one vector each.

    All dropout is in `tf.keras.layers.Dropout` objects that `submodules` contains.

    Attributes:
        backend: the library on which the encoder is built.
        hidden_size: width H of the output.
        max_positions: maximum number of tokens, special tokens included.
        vocabulary_size: number of rows of the token embedding.
        prefix: prefix of names in the Hugging Face layout if the model has a head, such as `bert`.
        token_table: name of the token embedding in `weight_mappings`.
        num_segments: number of segment ids; with 1, `call` accepts no segment ids.
        num_layers: number of Transformer layers; 0 for an encoder that is no Transformer.
    """

    backend: str
    prefix: str
    token_table: str
    num_segments: int = 1
    num_layers: int = 0

    def __init__(
        self, hf_config: Mapping[str, Any], *, vocabulary_size: int, hidden_size: int, max_positions: int
    ) -> None:
        super().__init__(name="encoder")
        # As text, because Keras would wrap a dict into an object that is saved with the weights and is not a dict.
        self._hf_config = json.dumps(dict(hf_config) | {"vocab_size": vocabulary_size})
        self.vocabulary_size = vocabulary_size
        self.hidden_size = hidden_size
        self.max_positions = max_positions

    @property
    def hf_config(self) -> dict[str, Any]:
        """The configuration, as in `config.json` of the Hugging Face layout; `vocab_size` counts all rows."""
        return json.loads(self._hf_config)

    @abc.abstractmethod
    def call(
        self,
        token_ids: tf.Tensor,
        padding_mask: tf.Tensor,
        training: bool | None = None,
        segment_ids: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Encodes tokens.

        Args:
            token_ids: int32 [B, T], [CLS] and [SEP] included; T at most `max_positions`.
            padding_mask: bool [B, T], True at tokens and False at padding. No position attends to padding.
            training: whether dropout is on.
            segment_ids: int32 [B, T], below `num_segments`; None means 0.

        Returns:
            float [B, T, H] in the policy's compute dtype.
        """

    @abc.abstractmethod
    def weight_mappings(self) -> Iterator[WeightMapping]:
        """Yields the mapping of every variable."""

    def token_embedding(self) -> tf.Variable:
        """Returns the table of token embeddings."""
        return next(
            mapping.variable for mapping in self.weight_mappings() if mapping.name == self.token_table
        )

    def randomly_initialized_variables(self) -> list[tf.Variable]:
        """Returns the trainable variables that are not in a checkpoint, which have the head's learning rate."""
        return []

    def hf_weights(self) -> dict[str, np.ndarray]:
        """Returns the weights, float32, in the layout of PyTorch's class (Hugging Face)."""
        return {mapping.name: mapping.value() for mapping in self.weight_mappings()}

    def assign(self, weights: Mapping[str, np.ndarray], source: str) -> None:
        """Assigns a value to every variable.

        Args:
            weights: weights by name without `prefix`; the token table has a row for each token of the vocabulary.
            source: origin of the weights, for errors.

        Raises:
            UserError: a name is missing or unexpected, or a shape differs.
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
