"""A text of 10 MB through the client and a server: each entity in its place, and the memory of both below a ceiling."""

import bisect
import itertools
import json
import pathlib
import re
import subprocess
import sys

import pytest

from emr_ner_tf.data.labels import CCKS2019_LABELS
from emr_ner_tf.data.synthetic.generator import generate

BYTES = 10_000_000
# docs/serving.md states these, and how much of a text two pieces share.
CLIENT_MIB, SERVER_MIB, SHARED = 1000, 700, 512
# Four bytes each, two units of UTF-16: an offset that counts anything but code points shows.
REMARK = f"附注：{'𠮷😀🩺𠀋' * 40}。\n"
# The client by itself, so that its memory is its own. Told: the server's address, the text's file, the answer's file.
CLIENT = """
import json, pathlib, re, sys
from emr_ner_tf.client.options import ClientOptions
from emr_ner_tf.client.grpc_client import GrpcClient

text = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8")
with GrpcClient(sys.argv[1], ClientOptions(deadline_s=600)) as client:
    predict, pieces = client._prediction.Predict, []

    class Listening:
        def __call__(self, request, **options):
            listen(request)
            return predict(request, **options)

        def future(self, request, **options):
            listen(request)
            return predict.future(request, **options)

    def listen(request):
        for piece in request.inputs["text"].string_val:
            start = text.index(piece.decode())
            pieces.append((start, start + len(piece.decode())))

    client._prediction.Predict = Listening()
    (entities,) = client.predict([text])
answer = {
    "entities": [(one.start, one.end, one.label, one.score) for one in entities],
    "pieces": sorted(pieces),
    "status": pathlib.Path("/proc/self/status").read_text(),
}
pathlib.Path(sys.argv[3]).write_text(json.dumps(answer))
"""


def _peak_mib(status):
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) / 1024


@pytest.fixture(scope="module")
def records():
    """Texts with something to find."""
    return [document.text for document in generate("train", records=64, seed=11)]


@pytest.fixture(scope="module")
def text(records):
    """The records over and over, each with a remark and its number, so that no two pieces are the same."""
    parts, size = [], 0
    while size < BYTES:
        parts.append(f"{records[len(parts) % len(records)]}\n{REMARK}{len(parts)}。\n")
        size += len(parts[-1].encode())
    return parts


@pytest.fixture(scope="module")
def answer(serve, bundles, text, tmp_path_factory):
    """The entities that the client found, the pieces that it sent, and the peak of memory of both processes."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "text").write_text("".join(text), encoding="utf-8", newline="")
    with serve(folder / "stderr", f"--bundle={bundles}", "--rest_port=-1", "--warmup_s=0") as server:
        command = [sys.executable, "-c", CLIENT, server.address, folder / "text", folder / "answer"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=2700,
            cwd=pathlib.Path(__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found = json.loads((folder / "answer").read_text())
        found["server"] = _peak_mib(pathlib.Path(f"/proc/{server.process.pid}/status").read_text())
    found["client"] = _peak_mib(found["status"])
    return found


@pytest.mark.slow
def test_entities_are_spans_of_the_text(answer, text):
    whole = "".join(text)
    assert len(whole.encode()) >= BYTES
    end = 0
    for start, stop, label, score in answer["entities"]:
        assert end <= start < stop <= len(whole)
        assert label in CCKS2019_LABELS
        assert 0 < score <= 1
        end = stop


@pytest.mark.slow
def test_every_record_is_annotated_as_by_itself(answer, text, records, bundle):
    alone = [{(one.start, one.end, one.label) for one in bundle.predict([text])[0]} for text in records]
    assert sum(map(len, alone)) > 200
    found = [set() for _ in text]
    begins = list(itertools.accumulate(map(len, text), initial=0))
    for start, end, label, _ in answer["entities"]:
        number = bisect.bisect_right(begins, start) - 1
        if start - begins[number] < len(records[number % len(records)]):
            found[number].add((start - begins[number], end - begins[number], label))
    wanted = [alone[number % len(records)] for number in range(len(text))]
    # By itself, a record is seen by windows that begin elsewhere. A convolution sees few neighbours, so this changes
    # next to nothing.
    for begin in range(0, len(text), 200):
        part = slice(begin, begin + 200)
        same = sum(len(one & other) for one, other in zip(found[part], wanted[part], strict=True))
        largest = sum(max(len(one), len(other)) for one, other in zip(found[part], wanted[part], strict=True))
        assert same > 0.99 * largest


@pytest.mark.slow
def test_pieces_cover_the_text_and_are_annotated_as_the_bundle_does(answer, text, bundle):
    whole = "".join(text)
    pieces = answer["pieces"]
    assert (pieces[0][0], pieces[-1][1]) == (0, len(whole))
    for (_, end), (start, _) in itertools.pairwise(pieces):
        assert end - start == SHARED
        assert whole[(start + end) // 2 - 1] in "\n。！？；"
    middle = len(pieces) // 2
    for first in (0, middle, len(pieces) - 3):
        told = {}
        for start, end in pieces[first : first + 3]:
            entities = bundle.predict([whole[start:end]])[0]
            told[start, end] = {
                (one.start + start, one.end + start, one.label): one.score for one in entities
            }
        for i, ((start, end), wanted) in enumerate(told.items(), start=first):
            # Away from its cuts a piece alone says what is there.
            low = start if i == 0 else start + SHARED
            high = end if i == len(pieces) - 1 else end - SHARED
            found = {tuple(one[:3]): one[3] for one in answer["entities"] if low <= one[0] < high}
            assert found == {
                key: pytest.approx(score, abs=1e-4) for key, score in wanted.items() if low <= key[0] < high
            }
            assert len(found) > 20
        # Around a cut every entity is one that a neighbour found.
        for (_, end), (start, _) in itertools.pairwise(told):
            around = {tuple(one[:3]) for one in answer["entities"] if start <= one[0] < end}
            assert around
            assert around <= set().union(*told.values())


@pytest.mark.slow
def test_memory(answer):
    print(f"client {answer['client']:.0f} MiB, server {answer['server']:.0f} MiB")
    assert answer["client"] < CLIENT_MIB
    assert answer["server"] < SERVER_MIB
