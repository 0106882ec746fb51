"""A step of `try_serving` that fails; tests/test_readme.py runs the command to its end."""


def test_a_step_that_fails_is_named(cli, tmp_path):
    done = cli("try_serving", f"--model_dir={tmp_path}", f"--output={tmp_path}/bundles")
    assert done.returncode == 1
    assert "step '1/3 export' failed with status 1; its message is printed above" in done.stderr
    assert "Traceback" not in done.stderr
    assert cli("try_serving", f"--model_dir={tmp_path}").returncode == 2
