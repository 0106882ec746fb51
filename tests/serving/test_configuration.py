"""The files in serving/: what has a descriptor here is parsed with it, the rest is read for what must agree."""

import importlib.util
import pathlib
import re
import shutil
import ssl
import stat
import subprocess
import sys

import pytest
import yaml
from certificates import issue
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from emr_ner_tf.client.options import ClientOptions

SERVING = pathlib.Path(__file__).parents[2] / "serving"
# Messages that the Python package lacks: names and types of their fields, in order of number, as the .proto files
# of tensorflow_serving/config and tensorflow_serving/servables/tensorflow have them.
MESSAGES = {
    "SSLConfig": {
        "server_key": "string",
        "server_cert": "string",
        "custom_ca": "string",
        "client_verify": "bool",
    },
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "MonitoringConfig": {"prometheus_config": ".t.PrometheusConfig"},
    "BatchingParameters": {
        "max_batch_size": ".google.protobuf.Int64Value",
        "batch_timeout_micros": ".google.protobuf.Int64Value",
        "max_enqueued_batches": ".google.protobuf.Int64Value",
        "num_batch_threads": ".google.protobuf.Int64Value",
        "thread_pool_name": ".google.protobuf.StringValue",
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
    },
}


def _parsed(path, name):
    """Returns a file in protobuf's text format, read as the message `name` of MESSAGES."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    field = descriptor_pb2.FieldDescriptorProto
    for message_name, fields in MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for number, (field_name, kind) in enumerate(fields.items(), start=1):
            label = field.LABEL_REPEATED if kind.startswith("repeated ") else field.LABEL_OPTIONAL
            added = message.field.add(name=field_name, number=number, label=label)
            if kind.startswith("."):
                added.type, added.type_name = field.TYPE_MESSAGE, kind
            else:
                added.type = field.Type.Value(f"TYPE_{kind.split()[-1].upper()}")
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))()
    return text_format.Parse(path.read_text(encoding="utf-8"), config)


def _models(name):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((SERVING / name).read_text(encoding="utf-8"), config)
    (model,) = config.model_config_list.config
    return model


def test_models_config():
    model = _models("models.config")
    assert (model.name, model.base_path, model.model_platform) == ("ner", "/models/ner", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1


def test_canary_config_labels_versions_that_it_loads():
    model = _models("models.canary.config")
    assert set(model.version_labels) == {"stable", "canary"}
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)


def test_batching_parameters_take_a_clients_largest_request():
    batching = _parsed(SERVING / "batching_parameters.txt", "BatchingParameters")
    # TensorFlow Serving refuses a request that is larger than a batch.
    assert batching.max_batch_size.value >= ClientOptions().max_records
    for path, default in (
        ("go/ner/options.go", r"MaxRecords: (\d+),"),
        ("java/src/main/java/emrner/client/ClientOptions.java", r"int maxRecords = (\d+);"),
    ):
        (found,) = re.findall(default, (SERVING / "clients" / path).read_text(encoding="utf-8"))
        assert batching.max_batch_size.value >= int(found)
    assert 0 < batching.batch_timeout_micros.value < 100_000
    (container,) = _pod("kubernetes/deployment.yaml")["containers"]
    assert str(batching.num_batch_threads.value) == container["resources"]["requests"]["cpu"]
    assert batching.max_enqueued_batches.value >= 1
    assert not batching.allowed_batch_sizes


def test_monitoring_config_is_where_kubernetes_looks():
    prometheus = _parsed(SERVING / "monitoring.config", "MonitoringConfig").prometheus_config
    annotations = _yaml("kubernetes/deployment.yaml")["spec"]["template"]["metadata"]["annotations"]
    assert prometheus.enable
    assert prometheus.path == annotations["prometheus.io/path"]


class _Loader(yaml.SafeLoader):
    """Reads Compose's tag, too."""


_Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def _yaml(name):
    (document,) = yaml.load_all((SERVING / name).read_text(encoding="utf-8"), _Loader)
    return document


@pytest.mark.parametrize("path", sorted(SERVING.rglob("*.yaml")), ids=lambda path: path.name)
def test_yaml_reads(path):
    documents = list(yaml.load_all(path.read_text(encoding="utf-8"), _Loader))
    assert all(isinstance(document, dict) for document in documents)


def _pod(name):
    return _yaml(name)["spec"]["template"]["spec"]


def _flags(arguments):
    return dict(argument.split("=", 1) for argument in arguments)


def test_compose_and_kubernetes_mount_what_their_flags_name():
    compose = _yaml("compose.yaml")["services"]["ner"]
    (container,) = _pod("kubernetes/deployment.yaml")["containers"]
    assert container["image"] == re.search(r":-(.*)}", compose["image"])[1]
    mounted = {volume.rsplit(":", 2)[1] for volume in compose["volumes"]}
    kustomization = _yaml("kubernetes/kustomization.yaml")
    (generated,) = kustomization["configMapGenerator"]
    assert generated["name"] == "ner-config"
    in_pod = {f"/config/{pathlib.PurePath(file).name}" for file in generated["files"]}
    for file in generated["files"]:
        assert (SERVING / "kubernetes" / file).resolve().exists()
    assert [compose["entrypoint"][0]] == container["command"]
    in_compose, on_kubernetes = _flags(compose["entrypoint"][1:]), _flags(container["args"])
    # One server for its machine alone on the one hand, many behind a name on the other; their ConfigMap never changes.
    assert in_compose.keys() - on_kubernetes == {
        "--model_config_file_poll_wait_seconds",
        "--enable_grpc_healthcheck_service",
    }
    assert on_kubernetes.keys() - in_compose == {"--grpc_channel_arguments"}
    assert all(in_compose[name] == on_kubernetes[name] for name in in_compose.keys() & on_kubernetes)
    for flags, files in ((in_compose, mounted), (on_kubernetes, in_pod)):
        named = {value for value in flags.values() if value.startswith("/config/")}
        assert named
        assert named <= files
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert on_kubernetes["--port"] == str(ports["grpc"])
    assert on_kubernetes["--rest_api_port"] == str(ports["rest"])
    for resource in kustomization["resources"]:
        assert (SERVING / "kubernetes" / resource).exists()


def test_tls_adds_to_compose_and_takes_nothing_away():
    base, added = (_yaml(name)["services"]["ner"] for name in ("compose.yaml", "compose.tls.yaml"))
    # Compose puts a `command` in the place of another, and behind an `entrypoint`.
    assert "command" not in base
    assert added.keys() == {"user", "command", "ports", "volumes"}
    (ssl_config,) = _flags(added["command"]).values()
    assert added["volumes"][0].rsplit(":", 2)[1] == ssl_config
    # A container's root without rights reads no one else's files: the user is nobody, or who owns the key.
    assert base["user"] == "${SERVING_USER:-65534:65534}"
    assert added["user"].startswith("${SERVING_USER:?")


def test_kubernetes_lets_requests_end():
    pod = _pod("kubernetes/deployment.yaml")
    (container,) = pod["containers"]
    arguments = _flags(_flags(container["args"])["--grpc_channel_arguments"].split(","))
    withdrawn = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    deadline = ClientOptions().deadline_s
    assert pod["terminationGracePeriodSeconds"] > withdrawn + deadline
    assert int(arguments["grpc.max_connection_age_grace_ms"]) >= 1000 * deadline
    assert int(_flags(container["args"])["--rest_api_timeout_in_ms"]) >= 1000 * deadline


def test_the_autoscaler_alone_says_how_many_pods():
    deployment = _yaml("kubernetes/deployment.yaml")
    scaler, budget = yaml.safe_load_all((SERVING / "kubernetes/autoscaling.yaml").read_text(encoding="utf-8"))
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    assert scaler["spec"]["minReplicas"] > budget["spec"]["minAvailable"]


def test_tls_on_kubernetes_adds_and_takes_nothing_away():
    base, added = (_yaml(f"kubernetes/{folder}kustomization.yaml") for folder in ("", "tls/"))
    assert added["resources"] == [f"../{name}" for name in base["resources"]] + ["network.yaml"]
    (base_files,), (added_files,) = base["configMapGenerator"], added["configMapGenerator"]
    assert added_files == base_files | {"files": [f"../{file}" for file in base_files["files"]]}
    assert added["patches"] == [{"path": "deployment.yaml"}]
    deployment, patch = (_yaml(f"kubernetes/{folder}deployment.yaml") for folder in ("", "tls/"))
    assert (patch["kind"], patch["metadata"]["name"]) == ("Deployment", deployment["metadata"]["name"])
    (container,), (patched,) = (
        one["spec"]["template"]["spec"].pop("containers") for one in (deployment, patch)
    )
    assert patched.keys() == {"name", "command", "volumeMounts"}
    assert patched["name"] == container["name"]
    assert patched["command"][:1] == container["command"]
    # kustomize puts a volume, a mount in the place of another of its name, its path.
    (mount,), pod = patched["volumeMounts"], patch["spec"]["template"]["spec"]
    (volume,) = pod.pop("volumes")
    assert not pod
    assert mount["mountPath"] not in {one["mountPath"] for one in container["volumeMounts"]}
    assert volume["name"] not in {one["name"] for one in deployment["spec"]["template"]["spec"]["volumes"]}
    assert mount["name"] == volume["name"]
    (item,) = volume["secret"]["items"]
    assert _flags(patched["command"][1:]) == {"--ssl_config_file": f"{mount['mountPath']}/{item['path']}"}
    made = f"kubectl create secret generic {volume['secret']['secretName']} --from-file={item['key']}\n"
    for path in (SERVING / "kubernetes/tls/kustomization.yaml", SERVING.parent / "docs/serving.md"):
        text = path.read_text(encoding="utf-8")
        assert made in text
        assert f"--output={item['key']}\n" in text


def test_tls_on_kubernetes_leaves_rest_to_probes_and_metrics():
    (container,) = _pod("kubernetes/deployment.yaml")["containers"]
    probes = [container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
    assert all(probe["httpGet"]["port"] == "rest" for probe in probes)
    policy = _yaml("kubernetes/tls/network.yaml")["spec"]
    labels = _yaml("kubernetes/deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"] == labels
    from_all = [rule["ports"] for rule in policy["ingress"] if "from" not in rule]
    assert from_all == [[{"port": "grpc"}]]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
@pytest.mark.parametrize(("folder", "more"), [("kubernetes", set()), ("kubernetes/tls", {"NetworkPolicy"})])
def test_kustomization_renders(folder, more):
    command = ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", SERVING / folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rendered = {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}
    assert rendered.keys() - more == {
        "ConfigMap",
        "Service",
        "PersistentVolumeClaim",
        "Deployment",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    }
    assert more <= rendered.keys()
    pod = rendered["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    base = _pod("kubernetes/deployment.yaml")["containers"][0]
    assert container["args"] == base["args"]
    assert ("--ssl_config_file=/tls/ssl.config" in container["command"]) == bool(more)
    volumes = pod["volumes"]
    assert rendered["ConfigMap"]["metadata"]["name"] in {
        volume["configMap"]["name"] for volume in volumes if "configMap" in volume
    }


def test_ssl_config_gives_the_pem_files_back(tmp_path):
    issue(tmp_path, "server")
    script = [sys.executable, SERVING / "tls/make_ssl_config.py"]
    files = [f"--key={tmp_path}/server.key", f"--cert={tmp_path}/server.pem"]
    out = f"--output={tmp_path}/ssl.config"
    # An existing file may be readable by everybody.
    (tmp_path / "ssl.config").touch(0o644)
    subprocess.run([*script, *files, f"--client_ca={tmp_path}/server.pem", out], check=True)
    assert stat.S_IMODE((tmp_path / "ssl.config").stat().st_mode) == 0o600
    config = _parsed(tmp_path / "ssl.config", "SSLConfig")
    assert config.server_key == (tmp_path / "server.key").read_text(encoding="ascii")
    assert config.server_cert == config.custom_ca == (tmp_path / "server.pem").read_text(encoding="ascii")
    assert config.client_verify
    swapped = subprocess.run(
        [*script, f"--key={tmp_path}/server.key", f"--cert={tmp_path}/server.key", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert swapped.returncode == 1
    assert "must be PEM and begin with" in swapped.stderr
    (tmp_path / "folder").mkdir()
    assert (
        subprocess.run([*script, *files, f"--output={tmp_path}/folder"], capture_output=True).returncode == 1
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "folder",
        "server.key",
        "server.pem",
        "ssl.config",
    ]


def test_ssl_config_names_the_file_that_is_wrong(tmp_path):
    issue(tmp_path, "server")
    key, cert, der, locked = (
        tmp_path / name for name in ("server.key", "server.pem", "server.der", "locked.key")
    )
    der.write_bytes(ssl.PEM_cert_to_DER_cert(cert.read_text(encoding="ascii")))
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", encoding="ascii")
    wrong = {
        (key, der, tmp_path / "out"): f"{der}: must be PEM, in ASCII",
        (cert, cert, tmp_path / "out"): f"{cert}: must hold a private key that is not encrypted",
        (locked, cert, tmp_path / "out"): f"{locked}: must hold a private key that is not encrypted",
        (key, cert, tmp_path / "none/out"): f"{tmp_path}/none/out: No such file or directory",
    }
    for files, message in wrong.items():
        flags = [f"--{name}={file}" for name, file in zip(("key", "cert", "output"), files, strict=True)]
        done = subprocess.run(
            [sys.executable, SERVING / "tls/make_ssl_config.py", *flags],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.startswith(message)
        assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "server.key",
        "server.pem",
        "server.der",
        "locked.key",
    }


def test_smoke_script_is_a_script():
    subprocess.run(["bash", "-n", SERVING / "smoke.sh"], check=True)
    done = subprocess.run(["bash", SERVING / "smoke.sh"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "usage: serving/smoke.sh BUNDLES" in done.stderr
    text = (SERVING / "smoke.sh").read_text(encoding="utf-8")
    for name in re.findall(r"serving/[\w./]+\.\w+", text):
        assert (SERVING.parent / name).exists(), name


def _smoke_batching():
    spec = importlib.util.spec_from_file_location("smoke_batching", SERVING / "smoke_batching.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("requests", "runs", "verdict"),
    [
        (64, 10, None),
        (64, 64, "none of 64 requests was merged with another"),
        (0, 0, "64 requests were sent, but only 0 went through the batching queue"),
    ],
)
def test_smoke_script_tells_whether_requests_are_merged(requests, runs, verdict):
    page = """# TYPE :tensorflow:serving:batching_session:queuing_latency histogram
:tensorflow:serving:batching_session:queuing_latency_bucket{{thread_pool_name="",le="100"}} 7
:tensorflow:serving:batching_session:queuing_latency_sum{{thread_pool_name=""}} 9.5
:tensorflow:serving:batching_session:queuing_latency_count{{thread_pool_name=""}} {}
:tensorflow:serving:batching_session:wrapped_run_count{{}} {}
"""
    smoke = _smoke_batching()
    before, after = (smoke.counts(page.format(*pair)) for pair in ((5, 3), (5 + requests, 3 + runs)))
    assert (before.requests, before.runs) == (5, 3)
    assert smoke.counts("") == (0, 0)
    assert (smoke.verdict(64, before, after) or None) == verdict
