"""This project's weights, settings and tables as plain files that need no TensorFlow to read."""

import json
import pathlib
from typing import Any

import numpy as np

from emr_ner_tf.encoders.base import WeightMapping
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.tagger import Tagger


def save_model(tagger: Tagger, definition: ModelDefinition, folder: pathlib.Path, **settings: Any) -> None:
    """Writes `weights.npz`, named and laid out as the peer's state is, `tables.npz` and `settings.json`.

    Args:
        tagger: BERT, BiGRU, multi-head attention, CRF; its variables made.
        definition: of it.
        folder: takes the three files.
        **settings: go into `settings.json` too.
    """
    config, table, vocabulary = definition.config, tagger.table, definition.vocabulary
    np.savez(folder / "weights.npz", **torch_state(tagger))
    np.savez(
        folder / "tables.npz",
        code_points=vocabulary.code_point_table(),
        breaks=vocabulary.break_table(),
        allowed=table.allowed,
        first_allowed=table.allowed_start,
        last_allowed=table.allowed_end,
    )
    model = {
        "encoder": definition.encoder,
        "rows": len(vocabulary.tokens),
        "units": config.model.units,
        "heads": config.model.heads,
        "tags": table.num_tags,
        "dropout": config.model.dropout,
    }
    windows = {"size": config.text.window, "overlap": config.text.overlap, "slack": config.text.slack}
    settings |= {
        "model": model,
        "tag_names": table.tags,
        "windows": windows,
        "special": tagger.special._asdict(),
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


def torch_state(tagger: Tagger) -> dict[str, np.ndarray]:
    """Returns every weight under the name and in the layout that PyTorch's modules have for it."""
    state = {
        f"bert.{mapping.name}": _checkpoint_tensor(mapping) for mapping in tagger.encoder.weight_mappings()
    }
    both = tagger.context.recurrence
    for name, layer in (("forward_gru", both.forward_layer), ("backward_gru", both.backward_layer)):
        state |= _gru(name, layer.cell)
    state |= _attention(tagger.attention.attention)
    return state | {
        "emissions.weight": tagger.linear.kernel.numpy().T,
        "emissions.bias": tagger.linear.bias.numpy(),
        "crf.transitions": tagger.crf.chain_kernel.numpy(),
        "crf.start_transitions": tagger.crf.left_boundary.numpy(),
        "crf.end_transitions": tagger.crf.right_boundary.numpy(),
    }


def _checkpoint_tensor(mapping: WeightMapping) -> np.ndarray:
    in_order = mapping.variable.numpy().reshape([mapping.shape[axis] for axis in mapping.axes])
    return in_order.transpose(np.argsort(mapping.axes))


def _gru(name: str, cell) -> dict[str, np.ndarray]:
    def reordered(array: np.ndarray) -> np.ndarray:
        # Keras has the gates as z, r, n along the last axis; PyTorch as r, z, n.
        update, reset, new = np.split(array, 3, axis=-1)
        return np.concatenate([reset, update, new], axis=-1)

    kernel, recurrent, bias = (
        reordered(weight.numpy()) for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    return {
        f"{name}.weight_ih_l0": kernel.T,
        f"{name}.weight_hh_l0": recurrent.T,
        f"{name}.bias_ih_l0": bias[0],
        f"{name}.bias_hh_l0": bias[1],
    }


def _attention(layer) -> dict[str, np.ndarray]:
    weights = {weight.name.split("/", 1)[1].split(":")[0]: weight.numpy() for weight in layer.weights}
    weights = {"/".join(name.split("/")[-2:]): array for name, array in weights.items()}
    width = weights["query/kernel"].shape[0]
    inner = [weights[f"{part}/kernel"].reshape(width, width).T for part in ("query", "key", "value")]
    biases = [weights[f"{part}/bias"].reshape(width) for part in ("query", "key", "value")]
    return {
        "attention.in_proj_weight": np.concatenate(inner),
        "attention.in_proj_bias": np.concatenate(biases),
        "attention.out_proj.weight": weights["attention_output/kernel"].reshape(width, width).T,
        "attention.out_proj.bias": weights["attention_output/bias"],
    }
