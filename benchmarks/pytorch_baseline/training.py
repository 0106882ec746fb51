"""The peer's side of the training step, as a worker process."""

import json
import pathlib
import time
from typing import Any

import numpy as np
import torch
from harness import Handlers, serve
from torch import nn

from pytorch_baseline.model import PeerTagger, start_torch


class PeerTrainer:
    """The recipe's update: loss, gradients, clipping, AdamW with two rates, warm-up and decay.

    Attributes:
        model: starts from the other side's weights.
        batches: token ids int64 [B, T + 2] with special tokens, tag ids int64 [B, T], lengths int64 [B].
    """

    def __init__(self, folder: pathlib.Path) -> None:
        """Reads what the other side wrote into `folder`: weights, settings and batches."""
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        self.model = PeerTagger.from_folder(folder, settings)
        arrays = np.load(folder / "batches.npz")
        self.batches = [
            tuple(torch.from_numpy(arrays[f"{name}_{i}"]) for name in ("token_ids", "tag_ids", "length"))
            for i in range(settings["batches"])
        ]
        recipe = settings["optimizer"]
        self._autocast = settings.get("autocast", False)
        self._clip_norm = recipe["clip_norm"]
        self._optimizer = torch.optim.AdamW(
            _groups(self.model, recipe),
            betas=(recipe["beta_1"], recipe["beta_2"]),
            eps=recipe["epsilon"],
            fused=True,
        )
        warmup, total = recipe["warmup_steps"], recipe["total_steps"]
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer,
            lambda step: min((step + 1) / max(1, warmup), (total - step) / max(1, total - warmup)),
        )

    def check(self, batch: int) -> dict[str, Any]:
        """Loss and joint norm of the gradients, dropout off, nothing updated."""
        self.model.eval()
        loss = self._loss(*self.batches[batch])
        loss.backward()
        norm = nn.utils.get_total_norm(p.grad for p in self.model.parameters())
        self._optimizer.zero_grad()
        return {"loss": loss.item(), "gradient_norm": norm.item()}

    def measure(self, batches: list[int]) -> dict[str, Any]:
        """Returns the time and the losses of one update on each of these batches."""
        self.model.train()
        started = time.perf_counter()
        losses = [self._step(*self.batches[i]) for i in batches]
        return {"seconds": time.perf_counter() - started, "losses": losses}

    def update(self) -> None:
        """Clips the gradients, updates the weights, drops the gradients."""
        nn.utils.clip_grad_norm_(self.model.parameters(), self._clip_norm)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()

    def _loss(self, token_ids: torch.Tensor, tag_ids: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._autocast):
            emissions = self.model(token_ids, length)
        return self.model.loss_of(emissions.float(), tag_ids, length)

    def _step(self, token_ids: torch.Tensor, tag_ids: torch.Tensor, length: torch.Tensor) -> float:
        loss = self._loss(token_ids, tag_ids, length)
        loss.backward()
        self.update()
        return loss.item()


def _groups(model: PeerTagger, recipe: dict) -> list[dict]:
    """Returns four groups: encoder and head, each with and without decay (vectors and the CRF have none)."""
    groups = {}
    for name, parameter in model.named_parameters():
        rate = recipe["encoder_rate"] if name.startswith("bert.") else recipe["head_rate"]
        decay = 0.0 if parameter.ndim < 2 or name.startswith("crf.") else recipe["weight_decay"]
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": ps, "lr": rate, "weight_decay": decay} for (rate, decay), ps in groups.items()]


def load(folder: str, threads: int) -> Handlers:
    """Reads weights and batches."""
    start_torch(threads)
    trainer = PeerTrainer(pathlib.Path(folder))
    return {"check": trainer.check, "measure": trainer.measure}


if __name__ == "__main__":
    serve(load)
