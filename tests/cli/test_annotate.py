"""The command annotate through its flags: forms of input, errors, a job that died."""

import json

import pytest


def test_one_text(cli, bundles):
    done = cli("annotate", f"--bundle={bundles}", "--text=患者因右肺上叶腺癌入院。")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["originalText"] == "患者因右肺上叶腺癌入院。"
    assert isinstance(record["entities"], list)


# Emoji, control characters, a character beyond the basic plane, more characters than any window holds.
HARD = ["", "😀😷🩺", "a\x00b\x07\x1b[31m\r\n\t\u3000", "𠮷野家\u202e", "患者因右肺上叶腺癌入院。" * 8334]


def test_a_file_keeps_ids_and_other_keys_and_skips_bad_records(cli, bundles, tmp_path):
    lines = [
        json.dumps(
            {"id": "a-1", "originalText": "胸部CT示右肺结节。", "ward": 7}, ensure_ascii=False
        ).encode(),
        b'{"originalText": 5}',
        b'{"originalText": "\xff"}',
        json.dumps({"originalText": "\ud800x"}).encode(),
        *(json.dumps({"originalText": text}).encode() for text in HARD),
    ]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    done = cli("annotate", f"--bundle={bundles}", f"--input={source}", f"--output={output}")
    assert done.returncode == 1
    assert f"{source}:2" in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()
    (tmp_path / "out.jsonl.partial").unlink(missing_ok=True)
    done = cli(
        "annotate", f"--bundle={bundles}", f"--input={source}", f"--output={output}", "--on_error=skip"
    )
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [record["originalText"] for record in records] == ["胸部CT示右肺结节。", *HARD]
    for record in records:
        spans = [(entity["start_pos"], entity["end_pos"]) for entity in record["entities"]]
        assert all(0 <= start < end <= len(record["originalText"]) for start, end in spans)
        assert spans == sorted(spans)
    assert records[0]["id"] == "a-1"
    assert records[0]["ward"] == 7
    rejects = (tmp_path / "out.jsonl.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rejects) == 3
    assert not (tmp_path / "out.jsonl.partial").exists()


def test_keys_that_a_stream_cannot_hold_are_counted(cli, bundles, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("text,entities,ward\n无,秘密,7\n", encoding="utf-8")
    for output in ((), ("--output=-",)):
        done = cli("annotate", f"--bundle={bundles}", f"--input={source}", *output)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["ward"] == "7"
        assert (
            "<stdout>: not written, because ccks2019 cannot represent them: 1 keys of records" in done.stderr
        )
        assert "秘密" not in done.stdout + done.stderr


def test_resume_continues_and_writes_all_records(cli, bundles, corpus, tmp_path):
    output = tmp_path / "out.jsonl"
    flags = (f"--bundle={bundles}", f"--input={corpus}/test.jsonl", f"--output={output}")
    whole = cli("annotate", *flags)
    assert whole.returncode == 0, whole.stderr
    expected = output.read_bytes()
    output.unlink()
    # A job that died leaves this: its header, some lines, and half a line.
    partial = tmp_path / "out.jsonl.partial"
    lines = expected.splitlines(keepends=True)
    from emr_ner_tf.exporting.bundle import Bundle

    header = json.dumps({"partial_output_of": Bundle(bundles).name}, ensure_ascii=False) + "\n"
    partial.write_bytes(header.encode() + b"".join(lines[:5]) + lines[5][:20])
    refused = cli("annotate", *flags)
    assert refused.returncode == 1
    assert "--resume" in refused.stderr
    resumed = cli("annotate", *flags, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "5 of them from before --resume" in resumed.stderr
    # Other records share a batch now, so that scores may differ in their last digits, and nothing else.
    found, wanted = (
        [json.loads(line) for line in content.splitlines()] for content in (output.read_bytes(), expected)
    )
    assert sum(len(record["entities"]) for record in wanted) > 20
    for one, other in zip(found, wanted, strict=True):
        scores = [[entity.pop("score") for entity in record["entities"]] for record in (one, other)]
        assert one == other
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (("--text=x", "--input=y"), 2, "exactly one of"),
        ((), 2, "exactly one of"),
        (("--text=x", "--resume"), 2, "--output"),
        (("--input=absent.jsonl",), 1, "absent.jsonl"),
        # A byte that is not UTF-8 comes from the shell as a lone surrogate.
        (("--text=a\udcff",), 1, "character 1 is the lone surrogate U+DCFF"),
    ],
)
def test_wrong_calls(cli, bundles, flags, status, message):
    done = cli("annotate", f"--bundle={bundles}", *flags)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--version=9223372036854775808", "--version=9223372036854775808"),
        ("--version=-1", "--version=-1"),
        ("--version=1 --version_label=stable", "--version and --version_label cannot be given together"),
        ("--deadline_s=nan", "--deadline_s=nan: it must be a finite number"),
        ("--deadline_s=inf", "--deadline_s=inf: it must be a finite number"),
        ("--deadline_s=1e12", "--deadline_s=1e12"),
        ("--retry_timeout_s=nan", "--retry_timeout_s=nan: it must be a finite number"),
        ("--max_message_mb=nan", "--max_message_mb=nan: it must be a finite number"),
        ("--max_message_mb=1e9", "--max_message_mb=1e9"),
    ],
)
def test_numbers_that_do_not_fit(cli, flag, message):
    done = cli("annotate", "--server=127.0.0.1:1", "--retry_timeout_s=0", "--text=x", *flag.split())
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "flag", ["--version=3", "--version_label=stable", "--header=x-a=b", "--tls", "--protocol=rest"]
)
def test_a_bundle_has_no_server(cli, flag):
    done = cli("annotate", "--bundle=absent", "--text=x", flag)
    assert done.returncode == 2
    assert f"{flag.partition('=')[0]} can only be given with --server" in done.stderr
    assert "--bundle=BUNDLES/3" in done.stderr


def test_a_folder_that_is_there_is_not_called_a_stream(cli, bundles, tmp_path):
    (tmp_path / "found").mkdir()
    flags = (f"--bundle={bundles}", "--text=患者胃癌。", f"--output={tmp_path}/found", "--to=brat")
    done = cli("annotate", *flags)
    assert done.returncode == 0, done.stderr
    done = cli("annotate", *flags)
    assert done.returncode == 1
    assert f"{tmp_path}/found: the format is a folder of files, and this path already exists" in done.stderr


@pytest.mark.parametrize("server", ["http://localhost:8501", "localhost"])
def test_an_address_that_is_none(cli, server):
    done = cli("annotate", f"--server={server}", "--text=x")
    assert done.returncode == 1
    assert done.stderr.startswith(f"'{server}': a server's address must be HOST:PORT")


def test_a_key_alone_is_no_plain_connection(cli):
    done = cli("annotate", "--server=localhost:1", "--retry_timeout_s=0", "--tls_key=key.pem", "--text=x")
    assert done.returncode == 1
    assert "certificate and its key must be given together" in done.stderr


def test_no_bundle(cli, tmp_path):
    done = cli("annotate", f"--bundle={tmp_path}/none", "--text=x")
    assert done.returncode == 1
    assert "no bundle" in done.stderr
    assert "Traceback" not in done.stderr
