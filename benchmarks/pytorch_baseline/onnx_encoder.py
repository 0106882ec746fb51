"""The peer's encoder in ONNX Runtime, in float32 or with dynamically quantized 8-bit products."""

import pathlib

import numpy as np
import onnxruntime
import torch
from onnxruntime import quantization
from torch import nn


class _Encoder(nn.Module):
    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, token_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.bert(token_ids, attention_mask=mask).last_hidden_state


class OnnxEncoder:
    """Token ids and mask to the encoder's output, as `transformers.BertModel` has it."""

    def __init__(self, bert: nn.Module, folder: pathlib.Path, *, quantized: bool, threads: int) -> None:
        """Exports the encoder into `folder` and loads it.

        Args:
            bert: `transformers.BertModel`, with its weights.
            folder: takes the files.
            quantized: whether its products are computed in 8 bits, with a scale for each column.
            threads: of a product.
        """
        path = folder / "encoder.onnx"
        ids = torch.ones(2, 16, dtype=torch.int64)
        names = {0: "batch", 1: "time"}
        torch.onnx.export(
            _Encoder(bert).eval(),
            (ids, ids),
            str(path),
            input_names=["token_ids", "mask"],
            output_names=["hidden"],
            dynamic_axes={"token_ids": names, "mask": names, "hidden": names},
            opset_version=17,
            dynamo=False,
        )
        if quantized:
            small = folder / "encoder.int8.onnx"
            quantization.quantize_dynamic(
                path, small, weight_type=quantization.QuantType.QInt8, per_channel=True
            )
            path = small
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, token_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """float32 [B, T, H]."""
        inputs = {"token_ids": token_ids.numpy(), "mask": mask.numpy().astype(np.int64)}
        return torch.from_numpy(self._session.run(["hidden"], inputs)[0])
