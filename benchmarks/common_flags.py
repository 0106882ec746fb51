"""Flags that several benchmarks have; a call defines one, and its argument is the default."""

import functools

from absl import flags

_integer = functools.partial(flags.DEFINE_integer, lower_bound=1)
_required = functools.partial(flags.DEFINE_string, default=None, required=True)

define_bundle = functools.partial(
    _required, "bundle", help="A bundle's version, or the directory of its versions."
)
define_encoder = functools.partial(_required, "encoder", help="Encoder in the Hugging Face layout.")
define_output = functools.partial(_required, "output", help="Report to write, JSON.")
define_pairs = functools.partial(_integer, "pairs", help="Measurements of each side.")
define_records = functools.partial(_required, "records", help="Annotated records, CCKS2019 JSON lines.")
define_threads = functools.partial(
    _integer, "threads", 2, help="Number of threads, and of processors, of each side."
)
define_tries = functools.partial(
    _integer, "tries", help="Maximum number of tries for a measurement that other processes disturb."
)
