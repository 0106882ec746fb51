"""Records that bear a marker, good ones and bad ones, and the search for it in what a program says and writes."""

import concurrent.futures
import json

CANARY = "龘靐QZJV7"
# Whole or a piece of it, as it is or escaped.
TOLD = ("龘", "靐", "qzjv", "\\u9f98", "\\u9750", "\\xe9\\xbe\\x98", "\\xe9\\x9d\\x90")
# A vocabulary holds characters of the training text, each by itself: of files only more than one at a time is asked.
KEPT = (CANARY[:2].encode(), b"QZJV", b"qzjv", b"\\u9f98\\u9750")
# The libraries' own remarks, too.
ALL_REMARKS = {"TF_CPP_MIN_LOG_LEVEL": "0"}

GOOD = {
    "id": f"{CANARY}-1",
    "name": CANARY,
    "originalText": f"患者{CANARY}因右肺上叶腺癌入院，行{CANARY}切除术。",
    "entities": [
        {"label_type": "疾病和诊断", "overlap": 0, "start_pos": 10, "end_pos": 16, "note": CANARY},
        {"label_type": "手术", "overlap": 0, "start_pos": 20, "end_pos": 30},
    ],
}


def _with(mention=None, **keys):
    record = {**GOOD, **keys}
    if mention is not None:
        record["entities"] = [{"label_type": "手术", "start_pos": 2, "end_pos": 9, "note": CANARY} | mention]
    return json.dumps(record, ensure_ascii=False).encode()


def _without(key):
    return json.dumps(
        {name: value for name, value in GOOD.items() if name != key}, ensure_ascii=False
    ).encode()


_TEXT = f'{{"originalText": "{CANARY}'.encode()
# Lines that every reader refuses.
BAD = {
    "not JSON": CANARY.encode(),
    "cut off": _TEXT,
    "bad escape": _TEXT + rb'\q"}',
    "control character": _TEXT + b'\x01"}',
    "more behind": _TEXT + b'"} ' + CANARY.encode(),
    "a list": json.dumps([CANARY], ensure_ascii=False).encode(),
    "a string": json.dumps(CANARY, ensure_ascii=False).encode(),
    "a key twice": f'{{"{CANARY}": 1, "{CANARY}": 2, "originalText": "{CANARY}"}}'.encode(),
    "nested": _TEXT + b'", "x": ' + b"[" * 100_000,
    "a number too long": _TEXT + b'", "x": ' + b"1" * 5000 + b"}",
    "no text": _without("originalText"),
    "text of a wrong type": _with(originalText=[CANARY]),
    "text is an object": _with(originalText={CANARY: CANARY}),
    "id of a wrong type": _with(id=[CANARY]),
    "mentions are a text": _with(entities=CANARY),
    "mentions are an object": _with(entities={CANARY: CANARY}),
    "a mention is a text": _with(entities=[CANARY]),
    "label missing": _with(entities=[{"start_pos": 0, "end_pos": 1, CANARY: CANARY}]),
    "label of a wrong type": _with({"label_type": [CANARY]}),
    "offset is a text": _with({"start_pos": CANARY}),
    "offset is a fraction": _with({"end_pos": 2.5}),
    "past the end": _with({"end_pos": 4000}),
    "before the text": _with({"start_pos": -1}),
    "reversed": _with({"start_pos": 9, "end_pos": 2}),
    "empty": _with({"start_pos": 9}),
    "not UTF-8": _TEXT + b'\xff"}',
    "a surrogate": _TEXT + b'\\ud800", "entities": []}',
}
# Records that only a reader of annotated records refuses.
BAD_ANNOTATION = {
    "no mentions": _without("entities"),
    "a label unknown": _with({"label_type": "别的"}),
    "overlapping": _with(entities=[{**GOOD["entities"][0], "start_pos": at} for at in (10, 11)]),
}
BAD_COLUMNS = {
    "two characters": f"{CANARY}\tO",
    "no tag": CANARY,
    "a tag that is text": f"龘\t{CANARY}",
    "I without B": "龘\tI-手术",
    "I of a text": f"龘\tI-手术，{CANARY}",
    "lone carriage returns": f"龘\tB-手术\r{CANARY}\tI-手术",
    "keys are not JSON": f'# {{"{CANARY}": \n龘\tO',
    "more keys than mentions": f'# {{"entities": [{{"x": "{CANARY}"}}]}}\n龘\tO',
}


def assert_silent(said, where):
    said = said.lower()
    for piece in TOLD:
        at = said.find(piece)
        assert at < 0, f"{where} tells of a record, before: {said[max(0, at - 200) : at]!r}"


def assert_keeps_nothing(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and "rejects" not in path.name]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not any(piece in content for piece in KEPT), path


def run_all(calls):
    """Two at a time: a command begins with some seconds of one core's work."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
