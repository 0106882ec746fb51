"""The other side of finding words, as a worker process: dictionaries in dictionaries, walked from each position."""

import hashlib
import json
import pathlib
import time
from typing import Any

import numpy as np
from harness import Handlers, serve


def build(words: list[str]) -> dict:
    """Returns a trie: from character to the next dictionary; the key "" says that a word ends there."""
    root: dict = {}
    for word in words:
        node = root
        for character in word:
            node = node.setdefault(character, {})
        node[""] = True
    return root


def occurrences_of(root: dict, texts: list[str]) -> list[tuple[int, int, int]]:
    """Returns every word in every text: the text's number, its first and its last character, in this order."""
    found = []
    for row, text in enumerate(texts):
        for start in range(len(text)):
            node = root
            for end in range(start, len(text)):
                node = node.get(text[end])
                if node is None:
                    break
                if "" in node:
                    found.append((row, start, end))
    return found


def load(data: str, threads: int) -> Handlers:
    """Builds the trie; Python itself takes one thread, whatever `threads` says."""
    loaded = json.loads(pathlib.Path(data).read_text(encoding="utf-8"))
    started = time.perf_counter()
    root = build(loaded["words"])
    facts = {"words": len(loaded["words"]), "build_seconds": time.perf_counter() - started}

    def measure() -> dict[str, Any]:
        started = time.perf_counter()
        occurrences_of(root, loaded["texts"])
        return {"seconds": time.perf_counter() - started}

    def occurrences() -> dict[str, Any]:
        found = np.array(occurrences_of(root, loaded["texts"]), np.int32).reshape(-1, 3)
        return {"number": len(found), "digest": hashlib.sha256(found.tobytes()).hexdigest()}

    return {"facts": lambda: facts, "measure": measure, "occurrences": occurrences}


if __name__ == "__main__":
    serve(load)
