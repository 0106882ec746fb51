"""The learning rate of an encoder by its size; this module does not import TensorFlow."""

# 2e-4 for 4 layers of width 512, measured with this project's recipe (docs/results.md). For 12 layers of width 768 the
# same product gives 4.4e-5, and for 24 layers of width 1024 1.7e-5, within the ranges of 2e-5 to 5e-5 and of 1e-5 to
# 3e-5 that Devlin et al. (2019) and Liu et al. (2019) searched for these sizes.
_RATE, _SIZE = 2e-4, 4 * 512


def rate_by_size(layers: int, width: int) -> float:
    """Returns the learning rate that `config.optimizer.encoder_rate` -1 stands for.

    Args:
        layers: number of Transformer layers; 0 for an encoder that is no Transformer, whose rate has no such rule.
        width: width of the layers.

    Example:
        >>> f"{rate_by_size(12, 768):.1e}"
        '4.4e-05'
    """
    return _RATE * _SIZE / (layers * width) if layers else _RATE
