"""Export, serve and annotate from the client by one command; the README test runs it, too."""

import json
import socket


def test_a_model_becomes_a_clients_answer(cli, trained, tmp_path):
    output = tmp_path / "bundles"
    done = cli(
        "try_serving", f"--model_dir={trained}", f"--output={output}", "--text=患者因右肺上叶腺癌入院。"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    titles = [line for line in lines if line.startswith(("1/3", "2/3", "3/3"))]
    assert titles == ["1/3 export", "2/3 serve", "3/3 annotate with a client"]
    assert json.loads(lines[-1])["originalText"] == "患者因右肺上叶腺癌入院。"
    assert [path.name for path in output.iterdir()] == ["1"]
    # The server has ended, in order.
    (address,) = (line for line in lines if "--server=" in line)
    port = int(address.split("--server=127.0.0.1:")[1].split()[0])
    with socket.socket() as connection:
        assert connection.connect_ex(("127.0.0.1", port)) != 0
    assert "every request was answered" in done.stderr


def test_a_step_that_fails_is_named(cli, tmp_path):
    done = cli("try_serving", f"--model_dir={tmp_path}", f"--output={tmp_path}/bundles")
    assert done.returncode == 1
    assert "step '1/3 export' failed with status 1; its message is printed above" in done.stderr
    assert "Traceback" not in done.stderr
    assert cli("try_serving", f"--model_dir={tmp_path}").returncode == 2
