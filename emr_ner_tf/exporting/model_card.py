"""Writes the model card of a bundle: the model, its scores, its origin and the limits of its use."""

import json

from emr_ner_tf.data.texts import escape_surrogates
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.training.checkpoints import BEST


def model_card(definition: ModelDefinition, metrics: str) -> str:
    """Writes the card as Markdown.

    Args:
        definition: definition of the model.
        metrics: JSON text of the training run's metrics, and of what is exported (`exported`).

    Returns:
        Markdown without any text of a record.
    """
    config, encoder = definition.config, definition.encoder or {}
    run = json.loads(metrics)
    exported = run["exported"]
    weights, precision = exported["weights"], exported["compute_dtype"]
    stored = "bfloat16 in the encoder, float32 elsewhere" if precision != "float32" == weights else weights
    computed = "computed with in float32"
    if precision != "float32":
        computed = (
            f"encoder, attention and the products of the recurrence's inputs compute in {precision}, the rest in "
            "float32"
        )
    scored = "not scored during training"
    if "f1" in exported:
        chosen = ", which also chose the checkpoint" if exported["checkpoint"] == BEST else ""
        scored = (
            f"exact-match F1 {exported['f1']:.4f} (precision {exported['precision']:.4f}, recall "
            f"{exported['recall']:.4f}) on the validation records{chosen}"
        )
        if (weights, precision) != ("float32", "float32"):
            scored += "; measured in float32"
        if not exported["f1"]:
            scored += ". **It finds no mention of those records: do not use this model**"
    compared = ""
    if comparison := exported.get("compared_with_float32"):
        compared = (
            f"\n- on {comparison['records']} records, {comparison['different']} entities differ from the "
            f"{comparison['entities']} that the model finds in float32"
        )
        if comparison["f1"] is not None:
            compared += f"; exact-match F1 {comparison['f1']:.4f} against {comparison['float32_f1']:.4f}"
    if encoder.get("num_hidden_layers"):
        source = f"{encoder['num_hidden_layers']} layers, hidden {encoder.get('hidden_size')}"
    else:
        source = f"hidden {encoder.get('hidden_size')}"
    members = exported.get("members", [])
    ensemble = (
        f"\n- an ensemble of {len(members)} such models, whose emissions and transitions are averaged; the epochs of "
        f"their checkpoints are {', '.join(str(member['epoch']) for member in members)}"
        if members
        else ""
    )
    least = exported.get("min_probability")
    # All its digits: a rounded number, typed again, would be another threshold.
    left_out = f"\n- entities with a probability below {least} are left out" if least else ""
    if threshold := exported.get("threshold_chosen"):
        left_out += (
            f"\n- this threshold was chosen on {threshold['records']} records, where it changes exact-match F1 from "
            f"{threshold['f1_of_all']:.4f} to {threshold['f1']:.4f}"
            if least
            else f"\n- no entity is left out: on {threshold['records']} records, no threshold on the probability "
            f"raises exact-match F1 above {threshold['f1_of_all']:.4f}"
        )
    derived = ""
    if definition.words:
        origin = (
            "was read from the file of `config.lexicon.file`"
            if config.lexicon.file
            else "has words that a segmenter found in the training and unlabelled text"
        )
        derived = f"The lexicon (`lexicon.txt`, {len(definition.words)} words) {origin}. "
    labels = "\n".join(f"- {label}" for label in definition.labels)
    card = f"""# Model card

Named entity recognition for Chinese electronic medical records: characters in, mentions with offsets and
probabilities out.

## Model
- encoder: {config.model.encoder} `{config.encoder}` ({source}); context: {config.model.context}, \
{config.model.units} units; attention: {config.model.attention}; a CRF over {config.model.scheme} tags
- {run["parameters"]} trainable parameters; weights stored as {stored}; {computed}{compared}
- windows of {config.text.window} characters that share {config.text.overlap}; records of any length{ensemble}{left_out}

## Labels
{labels}

## Training
- {run["epochs"]} epochs of `{config.data.train}`; the checkpoint is that of epoch {exported["epoch"]}
- {scored}

## Origin
The vocabulary contains single characters of the training text that the encoder's vocabulary lacked. {derived}Except \
for the weights, nothing else in this directory comes from a record. The warm-up requests contain synthetic text.

## Licence
`LICENCE` beside this card.

## Use
The scores were measured on records like those of the training; measure on your own records before you rely on them.
The model is not a medical device: a person is responsible for decisions that use its results.
"""
    # A path that the configuration names may not be UTF-8.
    return escape_surrogates(card)
