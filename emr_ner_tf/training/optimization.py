"""AdamW with a learning rate for each group of variables, warm-up and decay."""

import re
from collections.abc import Sequence

import tensorflow as tf

from emr_ner_tf.config import ConfigDict

Optimizer = tf.keras.optimizers.legacy.Optimizer

# Weight decay excludes biases and normalization, as in BERT's own recipe, and also the CRF's transitions and gates.
_NOT_DECAYED = re.compile(r"bias|layer_?norm|gamma|beta|chain_kernel|boundary|/gate\b", re.IGNORECASE)

_REPLICA = re.compile(r"/replica_\d+")


class WarmupDecay(tf.keras.optimizers.schedules.LearningRateSchedule):
    """A factor of the learning rate: it rises linearly from 0 to 1, then is constant or falls linearly to 0.

    Attributes:
        total_steps: number of updates of the whole run.
        warmup_steps: number of updates during which the factor rises.
        decay: "linear" or "none".
    """

    def __init__(self, total_steps: int, warmup_steps: int, decay: str) -> None:
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.decay = decay

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the factor at update `step` (counted from 0), float32 scalar."""
        step = tf.cast(step, tf.float32)
        factor = tf.minimum(1.0, (step + 1.0) / float(max(1, self.warmup_steps)))
        if self.decay == "linear":
            left = (self.total_steps - step) / float(max(1, self.total_steps - self.warmup_steps))
            factor = tf.minimum(factor, tf.clip_by_value(left, 0.0, 1.0))
        return factor

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"total_steps": self.total_steps, "warmup_steps": self.warmup_steps, "decay": self.decay}


class AdamW(tf.keras.optimizers.legacy.Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019) and a separate learning rate for each variable.

    The base is the legacy class, whose update is one fused kernel. The new optimizers of Keras 2.15 make about ten
    passes over each variable, which on a CPU takes as long as the forward and backward pass of a small encoder.

    Attributes:
        rates: peak learning rate of each variable, by its name.
        weight_decay: fraction of a variable that an update with a learning rate of 1 would remove.
    """

    def __init__(self, schedule: WarmupDecay, rates: dict, weight_decay: float, **kwargs) -> None:
        super().__init__(learning_rate=schedule, name="adamw", **kwargs)
        self.rates = rates
        self.weight_decay = weight_decay

    def _resource_apply_dense(self, grad, var, apply_state=None):
        state = apply_state[(var.device, var.dtype.base_dtype)]
        rate = self.rates[_name(var)]
        slot_m, slot_v = self.get_slot(var, "m"), self.get_slot(var, "v")
        if self.weight_decay and not _NOT_DECAYED.search(var.name):
            decayed = var.assign_sub(var * (state["lr_t"] * rate * self.weight_decay), read_value=False)
        else:
            decayed = tf.no_op()
        with tf.control_dependencies([decayed]):
            return tf.raw_ops.ResourceApplyAdam(
                var=var.handle,
                m=slot_m.handle,
                v=slot_v.handle,
                beta1_power=state["beta_1_power"],
                beta2_power=state["beta_2_power"],
                lr=state["lr_t"] * rate,
                beta1=state["beta_1_t"],
                beta2=state["beta_2_t"],
                epsilon=state["epsilon"],
                grad=grad,
                use_locking=self._use_locking,
            )


def build_optimizer(
    settings: ConfigDict,
    groups: Sequence[tuple[Sequence[tf.Variable], float]],
    total_steps: int,
    precision: str,
) -> Optimizer:
    """Builds the optimizer and its variables.

    Args:
        settings: section `optimizer` of the configuration; its learning rates are not read.
        groups: variables with their peak learning rate; each variable is in one group.
        total_steps: number of updates of the whole run.
        precision: precision policy of the run.

    Returns:
        `AdamW`, inside a `LossScaleOptimizer` if `precision` is mixed_float16.
    """
    variables = [variable for group, _ in groups for variable in group]
    rates = {}
    for group, rate in groups:
        for variable in group:
            assert rates.setdefault(_name(variable), rate) == rate, f"{variable.name}: two learning rates"
    warmup_steps = round(total_steps * float(settings.warmup_fraction or 0.0))
    schedule = WarmupDecay(total_steps, warmup_steps, settings.decay)
    optimizer = AdamW(
        schedule,
        rates,
        settings.weight_decay,
        beta_1=settings.beta_1,
        beta_2=settings.beta_2,
        epsilon=settings.epsilon,
    )
    # The slots are created here, because a function that creates variables at its first call is traced twice.
    optimizer._create_all_weights(variables)
    if precision == "mixed_float16":
        return tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def clip_by_global_norm(gradients: list[tf.Tensor], norm: float) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Scales all gradients so that their joint L2 norm is at most `norm`; 0 disables clipping.

    Returns:
        The gradients, and their joint norm before clipping, float32 scalar.
    """
    joint = tf.linalg.global_norm(gradients)
    if norm <= 0:
        return gradients, joint
    scale = norm / tf.maximum(joint, norm)
    return [gradient * scale for gradient in gradients], joint


def _name(variable: tf.Variable) -> str:
    """Returns the name that a variable has on the first replica, from which other replicas derive theirs."""
    return _REPLICA.sub("", variable.name)
