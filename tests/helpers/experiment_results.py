"""Constructed results of runs."""

LABELS = ("疾病和诊断", "药物")
SETUP = {
    "recipe": "default",
    "epochs": 2,
    "overrides": {"train.precision": "mixed_bfloat16"},
    "train": {"name": "train.jsonl", "digest": "t1"},
    "test": {"name": "held.jsonl", "digest": "h1"},
}
DESCRIBED = {
    "labels": list(LABELS),
    "distinct_forms": {"疾病和诊断": 2116, "药物": 455},
    "all_records": 1000,
    "train": {"records": 700, "mentions": 9},
    "test": {"records": 40, "mentions": 8},
}


def _figures(tp, fp, fn):
    p, r = tp / (tp + fp), tp / (tp + fn)
    return {"precision": p, "recall": r, "f1": 2 * p * r / (p + r), "tp": tp, "fp": fp, "fn": fn}


def result(row, kind, seed, found, *, seconds=60.0, digest="e1", setup=SETUP):
    """Returns 40 records of 10 mentions; `found` of them are right, and 10 predicted."""
    by_record = [[found, 10 - found, 10 - found]] * 40
    micro = _figures(40 * found, 40 * (10 - found), 40 * (10 - found))
    scores = {"micro": micro, "macro": micro, "by_type": dict.fromkeys(LABELS, micro)}
    return {
        "version": 1,
        "name": f"{row}-{kind}-{seed}-{digest}",
        "digest": f"{row} {digest}",
        "row": row,
        "encoder": {"kind": kind, "name": "tiny" if kind != "none" else "", "digest": digest},
        "seed": seed,
        "setup": setup,
        "epochs": 2,
        "updates": 302,
        "parameters": 1234567,
        "training_seconds": seconds,
        "commit": {"id": "0123456789abcdef", "changed": False},
        "machine": {"cores": 2, "device": "CPU"},
        "versions": {"tensorflow": "2.15.1"},
        "lookup_f1": 0.6,
        "scores": {"records": 40, "exact": scores, "relaxed": scores, "seen": micro, "unseen": micro},
        "materials": {"encoder": {"name": "tiny", "digest": digest}} if kind != "none" else {},
        "settings": {},
        "history": [{"epoch": 1, "loss": 30.0, "seconds": 30.0}, {"epoch": 2, "loss": 3.0, "seconds": 30.0}],
        "by_record": by_record,
    }
