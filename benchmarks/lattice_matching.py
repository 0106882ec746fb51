"""Words of a lexicon found in text: this project's graph against a trie of dictionaries walked in Python.

.venv/bin/python benchmarks/lattice_matching.py --output=FILE

Both begin with the texts as strings in memory and end with every occurrence in memory. Texts are synthetic records;
the words are cut from them, drawn from their characters, and drawn from all characters.
"""

import json
import pathlib
import random
import tempfile

from absl import app, flags
from common_flags import define_output, define_threads, define_tries
from harness import Worker, machine, measure_pairs, summarise, write_report

from emr_ner_tf.data.synthetic.generator import generate

_OUTPUT = define_output()
_BYTES = flags.DEFINE_integer("bytes", 1_000_000, "Text, in UTF-8.", lower_bound=1)
_WORDS = flags.DEFINE_integer("words", 100_000, "Words in the lexicon.", lower_bound=30)
_PAIRS = flags.DEFINE_integer("pairs", 9, "Measurements of each side, of the whole text each.", lower_bound=1)
_TRIES = define_tries(3)
_THREADS = define_threads()

_PACKAGES = ("tensorflow", "numpy")
_SEED = 1
_CHARACTERS = range(0x4E00, 0x4E00 + 8000)


def main(argv: list[str]) -> None:
    """Compares all occurrences, measures, writes the report."""
    if len(argv) > 1:
        raise app.UsageError(f"no positional arguments, got {argv[1:]}")
    texts = _texts(_BYTES.value)
    report = {
        "benchmark": "words of a lexicon in text",
        "machine": machine(_THREADS.value, _PACKAGES),
        "text": {
            "records": len(texts),
            "characters": sum(map(len, texts)),
            "bytes": sum(len(text.encode()) for text in texts),
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data.json"
        data.write_text(json.dumps({"texts": texts, "words": _words(texts, _WORDS.value)}), encoding="utf-8")
        arguments = {"data": str(data)}
        with (
            Worker("ours", "tensorflow_impl.matching", _THREADS.value, arguments) as ours,
            Worker("peer", "pytorch_baseline.matching", _THREADS.value, arguments) as peer,
        ):
            report["lexicon"] = {"ours": ours.ask(do="facts"), "peer": peer.ask(do="facts")}
            mine, theirs = ours.ask(do="occurrences"), peer.ask(do="occurrences")
            report["check"] = {"occurrences": mine["number"], "equal": mine == theirs}
            commands = [{"do": "measure"}] * _PAIRS.value
            report["each"] = measure_pairs(ours, peer, commands, threads=_THREADS.value, tries=_TRIES.value)
    report |= summarise(report["each"])
    for side in ("ours", "peer"):
        median = report["seconds"][side]["median"]
        report["seconds"][side]["characters_per_second"] = report["text"]["characters"] / median
    write_report(report, _OUTPUT.value)


def _texts(size: int) -> list[str]:
    """Returns synthetic records that have at least `size` bytes together."""
    texts, done = [], 0
    for document in generate("train", records=size, seed=_SEED):
        texts.append(document.text)
        done += len(document.text.encode())
        if done >= size:
            break
    return texts


def _words(texts: list[str], number: int) -> list[str]:
    """Returns distinct words of 2 to 6 characters: a third of each kind, as far as the text has so many to cut."""
    rng = random.Random(_SEED)
    own = sorted(set("".join(texts)))
    everything = own + [chr(code) for code in _CHARACTERS]
    words: dict[str, None] = {}
    for draw in range(number):
        text = rng.choice(texts)
        start, length = rng.randrange(len(text)), rng.randint(2, 6)
        cut = text[start : start + length]
        drawn = "".join(rng.choices(everything if draw % 2 else own, k=length))
        if len(words) < number // 3 and len(cut) == length:
            words[cut] = None
        words[drawn] = None
    while len(words) < number:
        words["".join(rng.choices(everything, k=rng.randint(2, 6)))] = None
    return list(words)[:number]


if __name__ == "__main__":
    app.run(main)
