"""The typed configuration that every recipe in `configs/` starts from, and its JSON form.

A recipe changes values, never keys: an unknown key or a value of another type raises and lists the choices.
"""

import functools
import math
import operator
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from emr_ner_tf.data.atomic_io import atomic_writer
from emr_ner_tf.data.formats.options import parse_options
from emr_ner_tf.data.formats.table import AUTO, READ_FORMATS
from emr_ner_tf.data.lines import indented_json
from emr_ner_tf.data.path_lists import split_paths
from emr_ner_tf.data.whole_files import read_object
from emr_ner_tf.errors import UserError

ConfigDict = ml_collections.ConfigDict

# The file name in a model directory and in the assets of a bundle.
CONFIG_FILE = "config.json"
RANDOM_ENCODER = "random"
# The encoder's learning rate is chosen by its size.
RATE_BY_SIZE = -1.0
ENCODERS = ("bert", "char", "elmo")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# Keys that do not affect the result of a run.
RUNTIME_ONLY_KEYS = ("train.checkpoint_seconds", "train.log_seconds", "text.token_budget")

# Keys by their old names, which configuration files and flags may still have.
RENAMED_KEYS = {"data.held_fraction": "data.heldout_fraction"}

# Seeds have 32 bits, as in NumPy; no machine has memory for a wider layer.
_MAX_SIZE, _MAX_WHOLE = 2**16, 2**31 - 1
_AT_MOST = {"train.seed": 2**32 - 1, "distillation.ratio": 1000}
_SIZES = ("model", "random_encoder", "char", "lexicon")
# Rules for what the configurations of all commands have.
_CHOICES = {"train.precision": PRECISIONS, "optimizer.decay": ("none", "linear")}
_AT_LEAST = {
    "train.seed": 0,
    "train.epochs": 1,
    "train.checkpoint_seconds": 0,
    "text.window": 8,
    "optimizer.epsilon": 1e-30,  # Keras takes 0 for its own value, and with less, a gradient of 0 gives NaN
} | dict.fromkeys(("optimizer.clip_norm", "optimizer.weight_decay"), 0)
_FRACTIONS = ("optimizer.warmup_fraction", "optimizer.beta_1", "optimizer.beta_2")


def base_config() -> ConfigDict:
    """Returns the configuration with every key, its type and its neutral value; locked."""
    config = ConfigDict()
    # Directory or hub name in the Hugging Face layout. "random" builds a random encoder from `random_encoder`. A model
    # whose `model.encoder` is "char" needs no encoder.
    config.encoder = ""
    config.encoder_backend = "keras_nlp"  # keras_nlp (BERT), or transformers (every model of `TFAutoModel`)
    # The encoder that `config.encoder` "random" builds; the keys are those of Hugging Face's `config.json`.
    config.random_encoder = ConfigDict(
        {
            "hidden_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 512,
            "max_position_embeddings": 512,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        }
    )

    # The character embedding of `model.encoder` "char", and the additional one of "elmo".
    config.char = ConfigDict()
    config.char.size = 100  # width
    config.char.vectors = ""  # file of initial vectors in word2vec's text format
    config.char.word2vec = False  # train initial vectors on the training text and `data.unlabelled`

    config.elmo = ConfigDict()
    config.elmo.trainable = False  # whether the language model is tuned, too

    # The lexicon of `model.context` "lattice_lstm".
    config.lexicon = ConfigDict()
    # Words, one per line, or word vectors; empty: built from the training records' text and from `data.unlabelled`.
    config.lexicon.file = ""
    config.lexicon.min_count = 3  # minimum number of occurrences of a word in a lexicon that is built
    config.lexicon.size = 50  # width of the word embedding

    config.data = ConfigDict()
    config.data.train = ""  # training records: one file, or several separated by commas
    config.data.validation = ""  # validation records; empty: `validation_fraction` of the training records
    config.data.validation_fraction = 0.1  # 0 without `validation`: the last epoch is the best
    # Files of passages, separated by commas, for a lexicon, character vectors and distillation.
    config.data.unlabelled = ""
    config.data.unlabelled_format = "auto"  # format of these files; auto finds that of each file by looking
    config.data.unlabelled_options = ""  # as `options`; empty: those of `options`
    config.data.format = "auto"  # format of `train` and `validation`; auto finds it by looking
    # Settings that the files do not state, as NAME=VALUE,... with fields of `data.formats.options.FormatOptions`, such
    # as encoding=gb18030,text_column=病历.
    config.data.options = ""
    config.data.labels = "ccks2019"  # ccks2019, infer (those of the records), or a file of one label per line
    config.data.overlaps = "error"  # error, or longest: keep the longest of overlapping mentions

    config.text = ConfigDict()
    config.text.window = 254  # maximum number of characters in a window, without [CLS] and [SEP]
    config.text.overlap = 28  # characters that neighbouring windows share, except in training
    config.text.slack = 12  # maximum number of characters by which a cut moves to follow punctuation
    # Characters in one call of the encoder in annotation, padding included. A CPU's caches hold what this many take;
    # on a GPU a larger number is faster.
    config.text.token_budget = 2048
    config.text.extend_vocabulary = True  # add rows for new characters of the training text

    config.model = ConfigDict()
    config.model.encoder = "bert"  # bert, char, elmo
    config.model.scheme = "BIO"  # BIO, BIOES
    config.model.context = "bigru"  # none, bigru, bilstm, cnn, idcnn, lattice_lstm
    config.model.units = 256  # size of the context layer: units in each direction, or filters
    config.model.reset_after = True  # GRU as in cuDNN and PyTorch; False is eq. 3 of the paper
    config.model.attention = "multi_head"  # none, plain, multi_head
    config.model.heads = 8  # heads of multi_head; the width of the context must be a multiple of it
    config.model.attention_gate = False  # learn a factor on what multi_head adds, from 0
    config.model.dropout = 0.25  # dropout rate after the encoder, the context and the attention
    config.model.constrain_decoding = True  # exclude transitions that the scheme forbids from the results
    config.model.constrain_loss = False  # exclude them from the loss, too

    config.distillation = ConfigDict()
    # Bundle whose marginals on `data.unlabelled` are learned beside the annotated records; empty: none.
    config.distillation.teacher = ""
    config.distillation.ratio = 2.0  # unlabelled windows for each annotated one, drawn again for each epoch

    config.optimizer = ConfigDict()
    config.optimizer.encoder_rate = 1e-4  # -1: chosen by the encoder's number of layers and width
    config.optimizer.head_rate = 1e-4  # learning rate of the layers after the encoder
    config.optimizer.crf_rate = 0.0  # learning rate of the CRF's transitions; 0: `head_rate`
    config.optimizer.layer_decay = 1.0  # the rate of an encoder's layer, relative to the layer above it
    config.optimizer.weight_decay = 0.0  # of AdamW; 0 is Adam
    config.optimizer.warmup_fraction = 0.0  # fraction of all updates in which the rates rise from 0
    config.optimizer.decay = "none"  # none, or linear: the rates fall to 0 over all updates
    config.optimizer.clip_norm = 0.0  # maximum joint L2 norm of the gradients; 0: no clipping
    config.optimizer.beta_1 = 0.9  # of Adam
    config.optimizer.beta_2 = 0.999  # of Adam
    config.optimizer.epsilon = 1e-7  # of Adam

    config.train = ConfigDict()
    config.train.seed = 1  # of weights, batches, dropout and the choice of validation records
    config.train.epochs = 10  # passes over the training records
    config.train.batch_size = 10  # windows of all replicas in an update
    config.train.token_budget = 0  # above 0: characters of a batch with padding, in place of `batch_size`
    config.train.random_cuts = False  # cut long records at other places in each epoch, into as many windows
    config.train.precision = "float32"  # float32, mixed_bfloat16, mixed_float16
    # Decay of the exponential moving average of the weights, which then is what is validated, kept as the best and
    # exported; 0: off.
    config.train.average_decay = 0.0
    # L2 norm of the adversarial perturbation of the token embeddings (FGM); doubles the time of an update. 0: off.
    config.train.adversarial_norm = 0.0
    # Number of epochs without a better validation F1, counted from the first F1 above 0, after which training stops;
    # 0: never.
    config.train.patience = 0
    config.train.checkpoint_seconds = 300.0  # time between checkpoints within an epoch
    config.train.log_seconds = 10.0  # time between lines of the log
    config.train.deterministic = True  # use deterministic kernels, which some operations lack on GPUs
    config.lock()
    return config


def check_config(config: ConfigDict) -> None:
    """Checks the values that have a fixed set of choices or a range.

    Raises:
        UserError: a key is missing or unknown, or a value is invalid; the message has the key, the rule and the value.
    """
    check_keys(config, base_config())
    choices = {
        "data.format": (AUTO, *READ_FORMATS),
        "data.unlabelled_format": (AUTO, *READ_FORMATS),
        "data.overlaps": ("error", "longest"),
        "encoder_backend": ("keras_nlp", "transformers"),
        "model.encoder": ENCODERS,
    }
    sizes = (
        *("train.batch_size", "text.token_budget", "model.units", "model.heads"),
        *("char.size", "lexicon.size", "lexicon.min_count"),
        *(f"random_encoder.{key}" for key in ("hidden_size", "intermediate_size", "num_hidden_layers")),
        *(f"random_encoder.{key}" for key in ("num_attention_heads", "max_position_embeddings")),
    )
    at_least = dict.fromkeys(sizes, 1) | {
        "train.token_budget": 0,
        "text.overlap": 0,
        "text.slack": 0,
        "train.patience": 0,
        "distillation.ratio": 0,
        "train.adversarial_norm": 0,
        "optimizer.encoder_rate": RATE_BY_SIZE,
        "optimizer.head_rate": 0,
        "optimizer.crf_rate": 0,
    }
    for key in ("train", "validation", "unlabelled"):
        split_paths(config.data[key], f"config.data.{key}")
    reading_settings(config.data)
    passage_settings(config.data)
    fractions = (
        *("model.dropout", "data.validation_fraction", "train.average_decay"),
        *("random_encoder.hidden_dropout_prob", "random_encoder.attention_probs_dropout_prob"),
    )
    check_values(config, choices=choices, at_least=at_least, fractions=fractions)
    if config.distillation.teacher and not config.data.unlabelled:
        raise UserError("config.data.unlabelled must name passages for config.distillation.teacher, got ''")
    if config.distillation.teacher and not config.distillation.ratio:
        raise UserError("config.distillation.ratio must be above 0 with config.distillation.teacher, got 0")
    if config.distillation.teacher and config.model.constrain_loss:
        raise UserError(
            "config.model.constrain_loss must be False with config.distillation.teacher, whose probabilities of a cut "
            "mention's tags have no legal path, got True"
        )
    decay = config.optimizer.layer_decay
    if not 0 < decay <= 1:
        raise UserError(f"config.optimizer.layer_decay must be above 0 and at most 1, got {decay}")
    if config.char.vectors and config.char.word2vec:
        raise UserError("config.char.vectors and config.char.word2vec cannot be used together, got both")
    text = config.text
    if text.overlap + text.slack >= text.window:
        raise UserError(
            f"config.text.overlap + config.text.slack must be below config.text.window, "
            f"got {text.overlap} + {text.slack} and {text.window}"
        )


def reading_settings(data: ConfigDict) -> dict[str, Any]:
    """Returns how the records of a configuration are read, as arguments of `emr_ner_tf.data.reading.read_documents`.

    Args:
        data: the section `data`.

    Raises:
        UserError: an option is invalid.
    """
    options = parse_options(data.options, "config.data.options")
    return {"format": data.format, "overlaps": data.overlaps, "options": options}


def passage_settings(data: ConfigDict) -> dict[str, Any]:
    """Returns how the files of `unlabelled` are read, as arguments of `emr_ner_tf.data.passages.read_passages`.

    Args:
        data: the section `data`.

    Raises:
        UserError: an option is invalid.
    """
    key = "unlabelled_options" if data.unlabelled_options else "options"
    return {"format": data.unlabelled_format, "options": parse_options(data[key], f"config.data.{key}")}


def check_keys(config: Any, base: ConfigDict) -> None:
    """Checks that the result of a recipe's `get_config` has the keys and the types of `base`, the command's own.

    Raises:
        UserError: it is the recipe of another command, or one of the user's own with a mistake.
    """
    remedy = "name a recipe of this command (see --help), or change a copy of one"
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config: must give a ConfigDict, got {type(config).__name__}; {remedy}")
    known, found = flattened(base), flattened(config)
    for what, keys in (("lacks", known.keys() - found), ("has the unknown", found.keys() - known)):
        if keys:
            raise UserError(f"--config: the recipe {what} key {min(keys)!r}; {remedy}")
    _check_types(found, known, "config.")


def _check_types(values: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> None:
    for key, value in values.items():
        kind = type(known[key])
        fits = isinstance(value, (float, int) if kind is float else kind)
        if not fits or isinstance(value, bool) != (kind is bool):
            raise UserError(f"{prefix}{key} must be of type {kind.__name__}, got {type(value).__name__}")


def check_values(
    config: ConfigDict,
    *,
    choices: Mapping[str, Sequence[str]],
    at_least: Mapping[str, float],
    fractions: Sequence[str],
) -> None:
    """Checks values by key, such as `train.epochs`; numbers must also be finite and sizes realistic.

    Args:
        config: the whole configuration of a command. What all commands have is checked without being named.
        choices: allowed values by key.
        at_least: minimum values by key.
        fractions: keys of values that must be at least 0 and below 1.

    Raises:
        UserError: a value is invalid; the message has the key, the rule and the value.
    """
    for key, value in flattened(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config.{key} must be a finite number, got {value}")
        most = _AT_MOST.get(key, _MAX_SIZE if key.split(".")[0] in _SIZES else _MAX_WHOLE)
        if (isinstance(value, int) or key in _AT_MOST) and value > most:
            raise UserError(f"config.{key} must be at most {most}, got {value}")
    for key, allowed in (_CHOICES | dict(choices)).items():
        value = _get(config, key)
        if value not in allowed:
            raise UserError(f"config.{key} must be one of {', '.join(allowed)}, got {value!r}")
    for key, least in (_AT_LEAST | dict(at_least)).items():
        value = _get(config, key)
        if not value >= least:
            raise UserError(f"config.{key} must be at least {least}, got {value}")
        if least == RATE_BY_SIZE and RATE_BY_SIZE < value < 0:
            raise UserError(f"config.{key} must be at least 0, or {RATE_BY_SIZE:g}, got {value}")
    for key in (*_FRACTIONS, *fractions):
        value = _get(config, key)
        if not 0 <= value < 1:
            raise UserError(f"config.{key} must be at least 0 and below 1, got {value}")


def set_keys(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets values by dotted key, such as `train.epochs`.

    Args:
        config: configuration, changed in place.
        values: values by key; a whole number is accepted for a fraction.

    Raises:
        UserError: a key is unknown, or a value has another type than the key.

    Example:
        >>> config = base_config()
        >>> set_keys(config, {"train.epochs": 5})
        >>> config.train.epochs
        5
    """
    known = flattened(config)
    for key, value in values.items():
        if key not in known:
            near = [name for name in known if name.split(".")[0] == key.split(".")[0]] or list(known)
            raise UserError(f"the configuration key must be one of {', '.join(near)}, got {key!r}")
        *sections, name = key.split(".")
        section = functools.reduce(operator.getitem, sections, config)
        try:
            section[name] = value
        except TypeError as error:
            raise UserError(
                f"config.{key} must be of type {type(known[key]).__name__}, got {type(value).__name__}"
            ) from error


def save_config(config: ConfigDict, path: str | os.PathLike[str]) -> None:
    """Writes the configuration as JSON."""
    with atomic_writer(path) as file:
        file.write(indented_json(config.to_dict()))


def load_config(path: str | os.PathLike[str], base: Callable[[], ConfigDict] = base_config) -> ConfigDict:
    """Reads a configuration that `save_config` wrote.

    Args:
        path: path of the file.
        base: returns the configuration with every key that the file may have.

    Raises:
        UserError: the file is missing or not whole, or holds keys that this version does not know.
    """
    saved = flattened(ConfigDict(read_object(pathlib.Path(path))))
    found = {RENAMED_KEYS.get(key, key): value for key, value in saved.items()}
    config = base()
    known = flattened(config)
    if unknown := found.keys() - known:
        raise UserError(f"{path}: unknown key {min(unknown)!r}, of another command or a newer version")
    _check_types(found, known, f"{path}: ")
    set_keys(config, found)
    return config


def diff_configs(one: ConfigDict, other: ConfigDict, *, ignore: Sequence[str] = ()) -> list[str]:
    """Returns `key: value -> other value` for each key, not in `ignore`, in which two configurations differ."""
    left, right = flattened(one), flattened(other)
    return [
        f"{key}: {left[key]!r} -> {right.get(key)!r}"
        for key in left
        if left[key] != right.get(key) and key not in ignore
    ]


def flattened(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Returns every value by its dotted key."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _get(config: ConfigDict, key: str) -> Any:
    return functools.reduce(operator.getitem, key.split("."), config)
