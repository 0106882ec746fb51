"""BERT-BiGRU-MultiHeadAttention-CRF in PyTorch: transformers, torch.nn and pytorch-crf."""

import pathlib

import numpy as np
import torch
import torchcrf
import transformers
from torch import nn

# pytorch-crf knows no constraint: a score that no path of allowed steps can fall below does the same.
FORBIDDEN = -1e4


class PeerTagger(nn.Module):
    """Order of layers: encoder, dropout, BiGRU, dropout, attention with a residual, dropout, linear, CRF.

    Attributes:
        bert: `transformers.BertModel` without its pooler.
        forward_gru: `nn.GRU` over the windows.
        backward_gru: `nn.GRU` over the windows turned round, each within its length. One bidirectional
            `nn.GRU` over packed sequences gives the same numbers; its backward pass takes thrice as long,
            since each step's slice of the inputs gets a gradient of the whole's size.
        attention: `nn.MultiheadAttention` without dropout.
        emissions: linear, to the K tags.
        crf: `torchcrf.CRF`.
        other_encoder: computes in place of `bert`; None where there is none.
    """

    def __init__(
        self, encoder: dict, rows: int, *, units: int, heads: int, tags: int, dropout: float
    ) -> None:
        super().__init__()
        config = transformers.BertConfig.from_dict(encoder | {"vocab_size": rows}, attn_implementation="sdpa")
        self.bert = transformers.BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(dropout)
        self.forward_gru = nn.GRU(config.hidden_size, units, batch_first=True)
        self.backward_gru = nn.GRU(config.hidden_size, units, batch_first=True)
        self.attention = nn.MultiheadAttention(2 * units, heads, batch_first=True)
        self.emissions = nn.Linear(2 * units, tags)
        self.crf = torchcrf.CRF(tags, batch_first=True)
        self.other_encoder = None

    @classmethod
    def from_folder(cls, folder: pathlib.Path, settings: dict) -> "PeerTagger":
        """Returns the model of `settings` with the weights of `folder`; a name too many or too few raises."""
        model = cls(**settings["model"])
        arrays = np.load(folder / "weights.npz")
        model.load_state_dict({name: torch.from_numpy(arrays[name]) for name in arrays.files})
        return model

    def forward(self, token_ids: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Emissions float [B, T, K] of windows.

        Args:
            token_ids: int64 [B, T + 2], `[CLS]` and `[SEP]` in place.
            length: int64 [B], characters, at least 1; on the CPU.
        """
        hidden = self.dropout(self.encode(token_ids, length))
        hidden = self.dropout(self.recur(hidden, length))
        return self.emissions(self.dropout(self.attend(hidden, length)))

    def encode(self, token_ids: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Returns the encoder's output for the characters, float [B, T, H]."""
        mask = torch.arange(token_ids.shape[1]) < length[:, None] + 2
        if self.other_encoder is not None:
            return self.other_encoder(token_ids, mask)[:, 1:-1]
        return self.bert(token_ids, attention_mask=mask.long()).last_hidden_state[:, 1:-1]

    def recur(self, hidden: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Returns both directions joined, float [B, T, 2 * units]."""
        steps, row = torch.arange(hidden.shape[1]), torch.arange(len(length))[:, None]
        turned = torch.where(steps < length[:, None], length[:, None] - 1 - steps, steps)
        backward = self.backward_gru(hidden[row, turned])[0][row, turned]
        return torch.cat([self.forward_gru(hidden)[0], backward], -1)

    def attend(self, hidden: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Returns the attention's output with its residual, float [B, T, 2 * units]."""
        padding = torch.arange(hidden.shape[1]) >= length[:, None]
        mask = padding if bool(padding.any()) else None
        return hidden + self.attention(hidden, hidden, hidden, key_padding_mask=mask, need_weights=False)[0]

    def loss_of(self, emissions: torch.Tensor, tag_ids: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Returns the mean negative log-likelihood of the windows' gold tags; `tag_ids` int64 [B, T]."""
        real = torch.arange(tag_ids.shape[1]) < length[:, None]
        return -self.crf(emissions, tag_ids, mask=real, reduction="mean")


def start_torch(threads: int) -> None:
    """Sets the number of threads, before anything has run."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)


def constrained(crf: torchcrf.CRF, allowed: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> None:
    """Forbids steps in decoding: bool [K, K] from row to column, bool [K], bool [K]."""
    with torch.no_grad():
        crf.transitions.masked_fill_(~allowed, FORBIDDEN)
        crf.start_transitions.masked_fill_(~start, FORBIDDEN)
        crf.end_transitions.masked_fill_(~end, FORBIDDEN)
