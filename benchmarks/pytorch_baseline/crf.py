"""pytorch-crf as a worker process."""

import time
from typing import Any

import numpy as np
import torch
import torchcrf
from harness import Handlers, serve


def load(data: str, side: str, threads: int) -> Handlers:
    """Builds the two layers, one with the weights of decoding; `side` is "peer"."""
    torch.set_num_threads(threads)
    arrays = np.load(data)
    layers = {"loss": _layer(arrays, ""), "decode": _layer(arrays, "allowed_")}

    def run(task: str, shape: str) -> tuple:
        emissions = torch.from_numpy(arrays[f"emissions {shape}"]).requires_grad_(task == "loss")
        length, tag_ids = arrays[f"length {shape}"], torch.from_numpy(arrays[f"tag_ids {shape}"]).long()
        real = torch.from_numpy(np.arange(emissions.shape[1]) < length[:, None])

        def loss() -> torch.Tensor:
            layers["loss"].zero_grad()
            emissions.grad = None
            result = -layers["loss"](emissions, tag_ids, mask=real, reduction="mean")
            result.backward()
            return result

        def decode() -> list[list[int]]:
            with torch.inference_mode():
                return layers["decode"].decode(emissions, real)

        return (loss if task == "loss" else decode), emissions

    def check(task: str, shape: str) -> dict[str, Any]:
        function, emissions = run(task, shape)
        result = function()
        if task == "loss":
            return {"loss": result.item(), "gradient_norm": emissions.grad.norm().item()}
        steps = emissions.shape[1]
        checksum = sum(
            tag * (1 + (row * steps + t) % 97)
            for row, path in enumerate(result)
            for t, tag in enumerate(path)
        )
        return {"tags": sum(map(len, result)), "checksum": checksum}

    def measure(task: str, shape: str, seconds: float) -> dict[str, Any]:
        function, _ = run(task, shape)
        function()
        started, calls = time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - started < seconds:
            function()
            calls += 1
        return {"seconds": (time.perf_counter() - started) / calls, "calls": calls}

    return {"check": check, "measure": measure}


def _layer(arrays: dict[str, np.ndarray], prefix: str) -> torchcrf.CRF:
    layer = torchcrf.CRF(len(arrays["start"]), batch_first=True)
    with torch.no_grad():
        layer.transitions.copy_(torch.from_numpy(arrays[f"{prefix}transitions"]))
        layer.start_transitions.copy_(torch.from_numpy(arrays[f"{prefix}start"]))
        layer.end_transitions.copy_(torch.from_numpy(arrays[f"{prefix}end"]))
    return layer


if __name__ == "__main__":
    serve(load)
