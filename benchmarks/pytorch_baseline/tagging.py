"""The peer's side of raw text to entities, as a worker process."""

import json
import pathlib
import time
from typing import Any

import numpy as np
import torch
from harness import Handlers, serve
from torch.nn.utils import rnn

from emr_ner_tf.data.reading import read_documents
from pytorch_baseline.model import PeerTagger, constrained, start_torch
from pytorch_baseline.text import by_budget, cut, entities, token_ids

# Characters of a batch, padding included. Which is the fastest depends on caches and threads.
_WINDOW_BUDGETS = (1024, 2048, 4096, 8192)
_RECORD_BUDGET = 65_536
# PyTorch computes the model, in float32 or under autocast; or ONNX Runtime the encoder and PyTorch the rest.
KINDS = ("float32", "bfloat16", "onnx_float32", "onnx_int8")


class PeerAnnotator:
    """Texts to entities.

    Attributes:
        model: with its weights, for inference.
        codes: token id of each code point.
        breaks: whether a window may well end after a token.
        cuts: how records are cut into windows.
        window_budget: most characters in a batch of windows.
    """

    def __init__(
        self, folder: pathlib.Path, kind: str = "float32", window: int = 0, threads: int = 1
    ) -> None:
        """Reads what the other side wrote into `folder`: weights, settings and tables.

        Args:
            folder: of `save_model`.
            kind: one of `KINDS`: what computes, in which precision.
            window: size of its windows; 0 takes the other side's.
            threads: of ONNX Runtime.
        """
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        tables = np.load(folder / "tables.npz")
        self.model = PeerTagger.from_folder(folder, settings).eval()
        rules = (torch.from_numpy(tables[name]) for name in ("allowed", "first_allowed", "last_allowed"))
        constrained(self.model.crf, *rules)
        self._tags = settings["tag_names"]
        self.cuts = settings["windows"]
        self.codes, self.breaks = tables["code_points"], tables["breaks"]
        if window:
            self.cuts = self.cuts | {"size": window}
        self._autocast = kind == "bfloat16"
        if kind.startswith("onnx"):
            from pytorch_baseline.onnx_encoder import OnnxEncoder

            self.model.other_encoder = OnnxEncoder(
                self.model.bert, folder, quantized=kind == "onnx_int8", threads=threads
            )
        self._special = settings["special"]
        self.window_budget = _WINDOW_BUDGETS[0]

    def tune(self, texts: list[str]) -> None:
        """Keeps the budget that tags these texts fastest, the better of two times each."""

        def seconds(budget: int) -> float:
            self.window_budget = budget
            started = time.perf_counter()
            self.annotate(texts)
            return time.perf_counter() - started

        best = {budget: min(seconds(budget), seconds(budget)) for budget in _WINDOW_BUDGETS}
        self.window_budget = min(best, key=best.get)

    @torch.inference_mode()
    def annotate(self, texts: list[str]) -> list[list[tuple[int, int, str]]]:
        """Returns (start, end, label) of each entity of each text."""
        return self.decode(self.emissions([token_ids(text, self.codes) for text in texts]))

    def decode(self, emissions: list[torch.Tensor]) -> list[list[tuple[int, int, str]]]:
        """Returns (start, end, label) of each entity of the best path of each record."""
        found: list[list[tuple[int, int, str]]] = [[] for _ in emissions]
        filled = [i for i, scores in enumerate(emissions) if len(scores)]
        for batch in by_budget([len(emissions[i]) for i in filled], _RECORD_BUDGET):
            members = [filled[i] for i in batch]
            length = torch.tensor([len(emissions[i]) for i in members])
            padded = rnn.pad_sequence([emissions[i] for i in members], batch_first=True)
            real = torch.arange(padded.shape[1]) < length[:, None]
            for i, path in zip(members, self.model.crf.decode(padded, real), strict=True):
                found[i] = entities([self._tags[tag] for tag in path])
        return found

    def emissions(self, tokens: list[np.ndarray]) -> list[torch.Tensor]:
        """Scores of each record, float [T, K], stitched from its windows."""
        emissions = [torch.empty(len(ids), len(self._tags)) for ids in tokens]
        windows = [w for i, ids in enumerate(tokens) for w in cut(i, self.breaks[ids], **self.cuts)]
        special = self._special
        for batch in by_budget([window.end - window.start for window in windows], self.window_budget):
            members = [windows[i] for i in batch]
            width = members[0].end - members[0].start
            inputs = np.full((len(members), width + 2), special["pad"], np.int64)
            inputs[:, 0] = special["cls"]
            for row, (record, start, end, *_) in enumerate(members):
                inputs[row, 1 : end - start + 1] = tokens[record][start:end]
                inputs[row, end - start + 1] = special["sep"]
            length = torch.tensor([window.end - window.start for window in members])
            with torch.autocast("cpu", torch.bfloat16, enabled=self._autocast):
                outputs = self.model(torch.from_numpy(inputs), length).float()
            for row, (record, start, _, own_start, own_end) in enumerate(members):
                emissions[record][own_start:own_end] = outputs[row, own_start - start : own_end - start]
        return emissions


def load(folder: str, records: str, threads: int, kind: str = "float32", window: int = 0) -> Handlers:
    """Reads weights and records."""
    start_torch(threads)
    annotator = PeerAnnotator(pathlib.Path(folder), kind, window, threads)
    texts = [document.text for document in read_documents(records, require_entities=False)]

    def measure(first: int, step: int, one_by_one: bool = False) -> dict[str, Any]:
        chosen = texts[first::step]
        started = time.perf_counter()
        batches = [[text] for text in chosen] if one_by_one else [chosen]
        found = [members for batch in batches for members in annotator.annotate(batch)]
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "characters": sum(map(len, chosen)), "entities": sum(map(len, found))}

    def entities() -> dict[str, Any]:
        return {"entities": annotator.annotate(texts)}

    def tune(records: int) -> dict[str, Any]:
        annotator.tune(texts[:records])
        return {"window_budget": annotator.window_budget}

    return {"measure": measure, "entities": entities, "tune": tune}


if __name__ == "__main__":
    serve(load)
