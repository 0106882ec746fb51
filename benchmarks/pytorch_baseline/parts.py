"""Where the peer's time goes, part by part, as a worker process."""

import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from harness import Handlers, part_handlers, serve
from torch import nn

from emr_ner_tf.data.reading import read_documents
from pytorch_baseline.model import start_torch
from pytorch_baseline.tagging import PeerAnnotator
from pytorch_baseline.text import cut, token_ids
from pytorch_baseline.training import PeerTrainer


def training_parts(trainer: PeerTrainer, batch: int) -> dict[str, Callable[[], Any]]:
    """Returns functions that run each part of an update (with dropout, from random inputs) and the whole."""
    model = trainer.model.train()
    tokens, tag_ids, length = trainer.batches[batch]
    hidden = torch.randn(*tag_ids.shape, model.bert.config.hidden_size, requires_grad=True)
    joined = torch.randn(*tag_ids.shape, model.emissions.in_features, requires_grad=True)
    gradients = [torch.full_like(parameter, 1e-4) for parameter in model.parameters()]

    def update() -> None:
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        trainer.update()

    def with_gradient(call: Callable[[], torch.Tensor], modules: Sequence[nn.Module]) -> Callable[[], None]:
        def run() -> None:
            call().sum().backward()
            for module in modules:
                module.zero_grad()
            hidden.grad = joined.grad = None

        return run

    def crf_loss() -> torch.Tensor:
        return model.loss_of(model.emissions(joined), tag_ids, length)

    return {
        "update: encoder": with_gradient(lambda: model.encode(tokens, length), [model.bert]),
        "update: context": with_gradient(
            lambda: model.recur(hidden, length), [model.forward_gru, model.backward_gru]
        ),
        "update: attention": with_gradient(lambda: model.attend(joined, length), [model.attention]),
        "update: linear and CRF": with_gradient(crf_loss, [model.emissions, model.crf]),
        "update: clipping and update": update,
        "update: whole": lambda: trainer.measure([batch]),
    }


def tagging_parts(
    annotator: PeerAnnotator, trainer: PeerTrainer, texts: Sequence[str], batch: int
) -> dict[str, Callable[[], Any]]:
    """Returns functions that run each part of texts to entities, and of the model on the windows of one batch."""
    model = annotator.model
    window_ids, _, window_length = trainer.batches[batch]

    def tokens_of() -> list:
        tokens = [token_ids(text, annotator.codes) for text in texts]
        for ids in tokens:
            cut(0, annotator.breaks[ids], **annotator.cuts)
        return tokens

    with torch.inference_mode():
        tokens = tokens_of()
        emissions = annotator.emissions(tokens)
        hidden = model.encode(window_ids, window_length)
        joined = model.recur(hidden, window_length)
    parts = {
        "entities: characters to token ids": tokens_of,
        "entities: windows, model, stitching": lambda: annotator.emissions(tokens),
        "entities: CRF decoding": lambda: annotator.decode(emissions),
        "entities: whole": lambda: annotator.annotate(texts),
        "model on one batch: encoder": lambda: model.encode(window_ids, window_length),
        "model on one batch: context": lambda: model.recur(hidden, window_length),
        "model on one batch: attention": lambda: model.attend(joined, window_length),
        "model on one batch: whole": lambda: model(window_ids, window_length),
    }
    return {name: torch.inference_mode()(part) for name, part in parts.items()}


def load(records: str, texts: int, folder: str, threads: int) -> Handlers:
    """Reads weights, batches, tables and the first `texts` records."""
    start_torch(threads)
    trainer, annotator = PeerTrainer(pathlib.Path(folder)), PeerAnnotator(pathlib.Path(folder))
    documents = read_documents(records, require_entities=False)
    first_texts = [document.text for document in itertools.islice(documents, texts)]
    return part_handlers(
        training_parts(trainer, batch=0) | tagging_parts(annotator, trainer, first_texts, batch=0)
    )


if __name__ == "__main__":
    serve(load)
