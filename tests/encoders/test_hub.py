"""Where an encoder's files are found: directories, and the hub, of which a small copy runs here."""

import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest

from emr_ner_tf.encoders.hub import WEIGHTS, find_file, find_weights, read_config
from emr_ner_tf.encoders.loading import load_encoder, load_vocabulary
from emr_ner_tf.errors import UserError


@pytest.mark.parametrize("file", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_missing_file_is_named(make_checkpoint, file):
    checkpoint = make_checkpoint()
    (checkpoint.folder / file).unlink()
    with pytest.raises(UserError) as raised:
        load_encoder(str(checkpoint))
    assert str(checkpoint) in str(raised.value)
    for name in WEIGHTS if file == "model.safetensors" else [file]:
        assert name in str(raised.value)


@pytest.mark.parametrize("name", ["no/such/directory", "/no_such_directory", "./none", "../none", ""])
def test_a_missing_directory_is_named(name):
    with pytest.raises(UserError, match=r"there is no such directory; looked for vocab\.txt") as raised:
        load_vocabulary(name)
    assert repr(name) in str(raised.value)


def test_the_first_of_the_names_is_taken(tmp_path):
    for name in ("pytorch_model.bin", "tf_model.h5", "model.safetensors"):
        (tmp_path / name).touch()
        assert find_weights(str(tmp_path)) == [tmp_path / name]
    assert find_file(str(tmp_path), "none", "tf_model.h5") == tmp_path / "tf_model.h5"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object, got list"),
        ("{}", "must hold `model_type` .*, got None"),
        ('{"model_type": "bert", "vocab_size": "36"}', "must hold `vocab_size` .*, got '36'"),
    ],
)
def test_a_malformed_configuration_is_named(tmp_path, text, says):
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"config\.json: {says}"):
        read_config(str(tmp_path))


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does for the files of one model, `clinic/encoder`."""

    folder: pathlib.Path

    def __init__(self, folder, *arguments):
        self.folder = folder
        super().__init__(*arguments)

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        body = self.answer()
        if body:
            self.wfile.write(body)

    def answer(self):
        _, _, file = self.path.partition("/clinic/encoder/resolve/main/")
        path = self.folder / file
        found = bool(file) and path.is_file()
        self.send_response(200 if found else 404)
        body = path.read_bytes() if found else b""
        if file:
            self.send_header("X-Repo-Commit", "0" * 40)
        if found:
            self.send_header("ETag", f'"{file}-1"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound" if file else "RepoNotFound")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tiny, tmp_path):
    """A function that runs code in a process whose hub is here; `hub.close()` takes the hub away."""
    shutil.copytree(tiny.folder, tmp_path / "served")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, tmp_path / "served"))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(code):
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment |= {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "cache"),
        }
        environment.pop("HF_HUB_OFFLINE", None)
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=60,
        )

    def close():
        server.shutdown()
        server.server_close()

    run.close, run.folder = close, tmp_path / "served"
    yield run
    close()


FILES = """
import json
from emr_ner_tf.errors import UserError
from emr_ner_tf.encoders.hub import find_file, find_weights, read_config
try:
    config = read_config("clinic/encoder")
    paths = [find_file("clinic/encoder", "vocab.txt"), *find_weights("clinic/encoder")]
    print(json.dumps([config, [path.name for path in paths], [path.stat().st_size for path in paths]]))
except UserError as error:
    print("UserError", error)
"""


def test_a_hub_name_is_fetched_once(hub, tiny):
    done = hub(FILES)
    config, names, sizes = json.loads(done.stdout)
    assert config == tiny.config
    assert names == ["vocab.txt", "model.safetensors"]
    assert sizes == [(tiny.folder / name).stat().st_size for name in names]
    hub.close()
    assert json.loads(hub(FILES).stdout) == [config, names, sizes]


def test_a_file_that_the_hub_lacks_is_named(hub):
    (hub.folder / "model.safetensors").unlink()
    done = hub(FILES)
    assert done.stdout.startswith("UserError encoder 'clinic/encoder': "), done.stderr
    assert all(name in done.stdout for name in WEIGHTS)
    # The notes of the cache do not hide a file that was added later.
    shutil.copy(hub.folder / "config.json", hub.folder / "pytorch_model.bin")
    assert '"pytorch_model.bin"' in hub(FILES).stdout


def test_an_unknown_hub_name_is_an_error(hub):
    done = hub(FILES.replace("clinic/encoder", "clinic/other"))
    assert done.stdout.startswith("UserError encoder 'clinic/other': there is no such directory"), done.stderr
    assert "config.json" in done.stdout


def test_a_hub_out_of_reach_is_one_message(hub):
    hub.close()
    done = hub(FILES)
    assert done.stdout.startswith("UserError encoder 'clinic/encoder': there is no such directory"), (
        done.stderr
    )
    assert "cannot be reached" in done.stdout
    assert "config.json" in done.stdout
    assert not done.stderr


ALL_FILES = """
from emr_ner_tf.encoders.hub import encoder_files
print(*(path.name for path in encoder_files("clinic/encoder")))
"""


def test_added_tokens_and_googles_layout_in_the_hub(hub):
    """Optional files are asked for once; a hub that is away later does not matter."""
    assert hub(ALL_FILES).stdout.split() == ["config.json", "vocab.txt", "model.safetensors"]
    (hub.folder / "model.safetensors").unlink()
    (hub.folder / "config.json").rename(hub.folder / "bert_config.json")
    google = ["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001"]
    for name in ("added_tokens.json", *google):
        (hub.folder / name).write_text("{}", encoding="utf-8")
    expected = ["bert_config.json", "vocab.txt", "added_tokens.json", *google]
    shutil.rmtree(hub.folder.parent / "cache")
    assert hub(ALL_FILES).stdout.split() == expected


def test_a_file_that_the_hub_does_not_have_is_not_asked_for_again(hub):
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    files = ["config.json", "vocab.txt", "pytorch_model.bin"]
    assert hub(ALL_FILES).stdout.split() == files
    hub.close()
    assert hub(ALL_FILES).stdout.split() == files
