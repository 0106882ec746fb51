"""Flags and files that have been renamed: the old name works, or the new one is named."""

import pytest


@pytest.mark.parametrize("in_a_file", [False, True])
def test_an_old_flag_works_with_a_warning(cli, tmp_path, in_a_file):
    old = "--patience_s=0"
    if in_a_file:
        (tmp_path / "flags").write_text(old)
        old = f"--flagfile={tmp_path}/flags"
    done = cli("annotate", "--server=127.0.0.1:1", old, "--text=x")
    assert (done.returncode, done.stdout) == (1, "")
    warning, error = done.stderr.splitlines()
    assert (
        warning
        == "warning: --patience_s is deprecated and will be removed in the next version; use --retry_timeout_s"
    )
    assert error.startswith("127.0.0.1:1: UNAVAILABLE")


def test_the_new_flag_has_no_warning_and_help_names_it_alone(cli):
    done = cli("annotate", "--server=127.0.0.1:1", "--retry_timeout_s=0", "--text=x")
    assert done.returncode == 1
    assert "deprecated" not in done.stderr
    shown = cli("annotate", "--help").stdout
    assert "--retry_timeout_s=RETRY_TIMEOUT_S" in shown
    assert "patience" not in shown


def test_an_old_flag_is_checked_like_the_new_one(cli):
    done = cli("annotate", "--server=127.0.0.1:1", "--patience_s=nan", "--text=x")
    assert done.returncode == 2
    assert "it must be a finite number" in done.stderr
    done = cli("annotate", "--bundle=absent", "--patience_s=1", "--text=x")
    assert done.returncode == 2
    assert "--retry_timeout_s can only be given with --server" in done.stderr


@pytest.mark.parametrize("in_a_file", [False, True])
def test_an_old_key_of_a_configuration_works_with_a_warning(cli, tmp_path, in_a_file):
    flags = [f"--model_dir={tmp_path}/model", f"--output={tmp_path}/encoder"]
    old = "--config.data.held_fraction=2"
    if in_a_file:
        (tmp_path / "flags").write_text(old)
        old = f"--flagfile={tmp_path}/flags"
    done = cli("pretrain", "--config=pretrain", *flags, old)
    warning, error = done.stderr.splitlines()
    assert warning == (
        "warning: --config.data.held_fraction is deprecated and will be removed in the next version; "
        "use --config.data.heldout_fraction"
    )
    assert error == "config.data.heldout_fraction must be at least 0 and below 1, got 2.0"
    assert done.returncode == 1


def test_the_old_name_of_the_heldout_file(cli, tmp_path):
    held = tmp_path / "held.jsonl"
    done = cli("data", "stats", f"--input={held}")
    assert done.stderr == f"{held}: no such file\n"
    (tmp_path / "heldout.jsonl").write_text('{"originalText": "x", "entities": []}\n')
    done = cli("data", "stats", f"--input={held}")
    assert done.returncode == 1
    assert done.stderr == f"{held}: no such file; data split now writes {tmp_path}/heldout.jsonl\n"
    held.write_text('{"originalText": "x", "entities": []}\n')
    assert cli("data", "stats", f"--input={held}").returncode == 0
