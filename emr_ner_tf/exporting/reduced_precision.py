"""Bundles in 16 bits: weights that are stored so, and encoders that compute so."""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf
from keras.src.mixed_precision import autocast_variable

from emr_ner_tf.data.document import Document
from emr_ner_tf.errors import UserError
from emr_ner_tf.evaluation.scoring import score
from emr_ner_tf.inference.annotator import Annotator
from emr_ner_tf.models.builder import build_encoder_of, build_tagger
from emr_ner_tf.models.model_definition import ModelDefinition
from emr_ner_tf.models.ner_pipeline import NerPipeline
from emr_ner_tf.models.tagger import Tagger

WEIGHTS = ("float32", "bfloat16", "float16")
PRECISIONS = ("float32", "bfloat16", "auto")

# Smaller variables (biases, norms, transitions) would save nothing worth their rounding.
_MIN_ELEMENTS = 4096
_CPU_INFO = pathlib.Path("/proc/cpuinfo")
# Instructions that multiply in bfloat16, as Linux names them.
_BFLOAT16_FEATURES = {"avx512_bf16", "amx_bf16"}
# Above this, the model is too unsure of itself for this precision, or something is wrong with it.
_MAX_DIFFERENT = 0.05


class ReducedPrecisionTagger:
    """A text tagger that stores its large variables, or computes its encoder and attention, in 16 bits.

    Every use of it, tracing above all, must happen within `with tagger.reading():`. The recurrence, the emissions and
    the CRF compute in float32.

    Attributes:
        ner_pipeline: of the model with reduced precision.
    """

    def __init__(self, tagger: Tagger, definition: ModelDefinition, *, weights: str, precision: str) -> None:
        """Builds the model again and copies the weights, rounded.

        Args:
            tagger: float32, trained.
            definition: of it.
            weights: one of `WEIGHTS`, in which large variables are stored.
            precision: "float32" or "bfloat16", in which encoder and attention compute.
        """
        # A weight that is rounded at each use is stored as it is used.
        encoder_weights = precision if weights == "float32" else weights
        policy = tf.keras.mixed_precision.global_policy()
        tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
        try:
            with self.reading():
                with _stored_as(encoder_weights):
                    encoder = build_encoder_of(definition)
                with _stored_as(weights):
                    copy, _ = build_tagger(definition, encoder=encoder)
        finally:
            tf.keras.mixed_precision.set_global_policy(policy)
        for variable, value in zip(copy.variables, tagger.variables, strict=True):
            stored = getattr(variable, "_variable", variable)
            stored.assign(tf.cast(value, stored.dtype))
        self.ner_pipeline = NerPipeline(copy, definition.vocabulary, definition.config)

    @staticmethod
    def reading():
        """Context within which the variables read as float32 outside of layers with a policy of their own."""
        return autocast_variable.enable_auto_cast_variables(tf.float32)


class PrecisionComparison(NamedTuple):
    """A model with reduced precision against the same model in float32.

    Attributes:
        records: number of records that were compared.
        entities: number of entities that the model finds in float32.
        different: number of entities that only one of the two finds.
        f1: exact-match F1 of the reduced model; None if the records hold no annotated mention.
        float32_f1: exact-match F1 in float32; None likewise.
    """

    records: int
    entities: int
    different: int
    f1: float | None
    float32_f1: float | None


def compare_with_float32(
    reduced: Annotator, float32: Annotator, documents: Sequence[Document]
) -> PrecisionComparison:
    """Annotates records with both models.

    Args:
        reduced: the model with reduced precision.
        float32: the same model in float32.
        documents: records; their annotated mentions give the F1.

    Raises:
        UserError: more than 5 % of the entities differ.
    """
    expected, found = list(float32.annotate(documents)), list(reduced.annotate(documents))
    pairs = list(zip(expected, found, strict=True))
    entities = sum(len(one.entities) for one, _ in pairs)
    different = sum(len({*one.entities} ^ {*other.entities}) for one, other in pairs)
    if different > max(_MAX_DIFFERENT * entities, 1):
        raise UserError(
            f"at this precision the model finds {different} entities that differ from its {entities} in float32 (at "
            f"most {_MAX_DIFFERENT:.0%} may); export it with --precision=float32 and --weights=float32"
        )
    labels = float32.labels
    scored = any(document.entities for document in documents) and all(
        entity.label in labels for document in documents for entity in document.entities
    )
    float32_f1, f1 = (
        score(documents, side, labels).exact.micro.f1 if scored else None for side in (expected, found)
    )
    return PrecisionComparison(len(documents), entities, different, f1, float32_f1)


def choose_precision(precision: str) -> str:
    """Returns `precision`, or for "auto" the fastest one that this machine's processor has instructions for."""
    if precision != "auto":
        return precision
    # On other systems than Linux there is nothing to read, and float32 is fast everywhere.
    with contextlib.suppress(OSError):
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("flags"):
                return "bfloat16" if _BFLOAT16_FEATURES & set(line.split()) else "float32"
    return "float32"


@contextlib.contextmanager
def _stored_as(weights: str) -> Iterator[None]:
    """Makes large float32 variables in another dtype, wrapped so that they are cast where they are read."""
    dtype = tf.dtypes.as_dtype(weights)

    def create(next_creator, **kwargs):
        value = kwargs["initial_value"]
        value = tf.convert_to_tensor(value() if callable(value) else value, kwargs.get("dtype"))
        if value.dtype != tf.float32 or value.shape.num_elements() < _MIN_ELEMENTS:
            return next_creator(**kwargs)
        stored = next_creator(**kwargs | {"initial_value": tf.cast(value, dtype), "dtype": dtype})
        # Keras' own wrapper of mixed precision: what is read within `reading` is cast.
        return autocast_variable.create_autocast_variable(stored)

    if dtype == tf.float32:
        yield
        return
    with tf.variable_creator_scope(create):
        yield
