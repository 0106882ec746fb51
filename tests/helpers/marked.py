"""Records that bear a marker, good ones and bad ones, and the search for it in what a program says and writes."""

import concurrent.futures
import json

MARK = "龘靐QZJV7"
# Whole or a piece of it, as it is or escaped.
TOLD = ("龘", "靐", "qzjv", "\\u9f98", "\\u9750", "\\xe9\\xbe\\x98", "\\xe9\\x9d\\x90")
# A vocabulary holds characters of the training text, each by itself: of files only more than one at a time is asked.
KEPT = (MARK[:2].encode(), b"QZJV", b"qzjv", b"\\u9f98\\u9750")
# The libraries' own remarks, too.
ALL_REMARKS = {"TF_CPP_MIN_LOG_LEVEL": "0"}

GOOD = {
    "id": f"{MARK}-1",
    "name": MARK,
    "originalText": f"患者{MARK}因右肺上叶腺癌入院，行{MARK}切除术。",
    "entities": [
        {"label_type": "疾病和诊断", "overlap": 0, "start_pos": 10, "end_pos": 16, "note": MARK},
        {"label_type": "手术", "overlap": 0, "start_pos": 20, "end_pos": 30},
    ],
}


def _with(mention=None, **keys):
    record = {**GOOD, **keys}
    if mention is not None:
        record["entities"] = [{"label_type": "手术", "start_pos": 2, "end_pos": 9, "note": MARK} | mention]
    return json.dumps(record, ensure_ascii=False).encode()


def _without(key):
    return json.dumps(
        {name: value for name, value in GOOD.items() if name != key}, ensure_ascii=False
    ).encode()


_TEXT = f'{{"originalText": "{MARK}'.encode()
# What no reader takes, whatever it needs of a record.
BAD = {
    "not JSON": MARK.encode(),
    "cut off": _TEXT,
    "bad escape": _TEXT + rb'\q"}',
    "control character": _TEXT + b'\x01"}',
    "more behind": _TEXT + b'"} ' + MARK.encode(),
    "a list": json.dumps([MARK], ensure_ascii=False).encode(),
    "a string": json.dumps(MARK, ensure_ascii=False).encode(),
    "a key twice": f'{{"{MARK}": 1, "{MARK}": 2, "originalText": "{MARK}"}}'.encode(),
    "nested": _TEXT + b'", "x": ' + b"[" * 100_000,
    "a number too long": _TEXT + b'", "x": ' + b"1" * 5000 + b"}",
    "no text": _without("originalText"),
    "text of a wrong type": _with(originalText=[MARK]),
    "text is an object": _with(originalText={MARK: MARK}),
    "id of a wrong type": _with(id=[MARK]),
    "mentions are a text": _with(entities=MARK),
    "mentions are an object": _with(entities={MARK: MARK}),
    "a mention is a text": _with(entities=[MARK]),
    "label missing": _with(entities=[{"start_pos": 0, "end_pos": 1, MARK: MARK}]),
    "label of a wrong type": _with({"label_type": [MARK]}),
    "offset is a text": _with({"start_pos": MARK}),
    "offset is a fraction": _with({"end_pos": 2.5}),
    "past the end": _with({"end_pos": 4000}),
    "before the text": _with({"start_pos": -1}),
    "reversed": _with({"start_pos": 9, "end_pos": 2}),
    "empty": _with({"start_pos": 9}),
    "not UTF-8": _TEXT + b'\xff"}',
    "a surrogate": _TEXT + b'\\ud800", "entities": []}',
}
# What only a reader of annotated records refuses.
BAD_ANNOTATION = {
    "no mentions": _without("entities"),
    "a label unknown": _with({"label_type": "别的"}),
    "overlapping": _with(entities=[{**GOOD["entities"][0], "start_pos": at} for at in (10, 11)]),
}
BAD_COLUMNS = {
    "two characters": f"{MARK}\tO",
    "no tag": MARK,
    "a tag that is text": f"龘\t{MARK}",
    "I without B": "龘\tI-手术",
    "keys are not JSON": f'# {{"{MARK}": \n龘\tO',
    "more keys than mentions": f'# {{"entities": [{{"x": "{MARK}"}}]}}\n龘\tO',
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
    """Two at a time: a main begins with some seconds of one core's work."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()
