"""The files in serving/: what has a descriptor here is parsed with it, the rest is read for what must agree."""

import pathlib
import re
import stat
import subprocess
import sys

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

SERVING = pathlib.Path(__file__).parents[2] / "serving"


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


@pytest.mark.parametrize("path", sorted(SERVING.rglob("*.yaml")), ids=lambda path: path.name)
def test_yaml_reads(path):
    loader = yaml.SafeLoader
    loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))
    documents = list(yaml.load_all(path.read_text(encoding="utf-8"), loader))
    assert all(isinstance(document, dict) for document in documents)


def _flags(arguments):
    return {argument.split("=")[0]: argument.split("=")[1] for argument in arguments}


def test_compose_and_kubernetes_mount_what_their_flags_name():
    compose = yaml.safe_load((SERVING / "compose.yaml").read_text(encoding="utf-8"))["services"]["ner"]
    deployment = yaml.safe_load((SERVING / "kubernetes/deployment.yaml").read_text(encoding="utf-8"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == re.search(r":-(.*)}", compose["image"])[1]
    mounted = {volume.rsplit(":", 2)[1] for volume in compose["volumes"]}
    kustomization = yaml.safe_load((SERVING / "kubernetes/kustomization.yaml").read_text(encoding="utf-8"))
    (generated,) = kustomization["configMapGenerator"]
    assert generated["name"] == "ner-config"
    in_pod = {f"/config/{pathlib.PurePath(file).name}" for file in generated["files"]}
    for file in generated["files"]:
        assert (SERVING / "kubernetes" / file).resolve().exists()
    for arguments, files in ((compose["command"], mounted), (container["args"], in_pod)):
        named = {value for value in _flags(arguments).values() if value.startswith("/config/")}
        assert named
        assert named <= files
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert _flags(container["args"])["--port"] == str(ports["grpc"])
    assert _flags(container["args"])["--rest_api_port"] == str(ports["rest"])
    for resource in kustomization["resources"]:
        assert (SERVING / "kubernetes" / resource).exists()


def _self_signed(name, key):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def test_ssl_config_gives_the_pem_files_back(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    (tmp_path / "server.crt").write_bytes(_self_signed("localhost", key).public_bytes(pem))
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    script = [sys.executable, SERVING / "tls/make_ssl_config.py"]
    files = [f"--key={tmp_path}/server.key", f"--cert={tmp_path}/server.crt"]
    out = f"--output={tmp_path}/ssl.config"
    subprocess.run([*script, *files, f"--client_ca={tmp_path}/server.crt", out], check=True)
    assert stat.S_IMODE((tmp_path / "ssl.config").stat().st_mode) == 0o600
    # TensorFlow Serving's SSLConfig is not in the Python package: its four fields, as its .proto names them.
    file = descriptor_pb2.FileDescriptorProto(name="ssl.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="SSLConfig")
    for number, name in enumerate(("server_key", "server_cert", "custom_ca", "client_verify"), start=1):
        kind = descriptor_pb2.FieldDescriptorProto
        message.field.add(
            name=name,
            number=number,
            type=kind.TYPE_BOOL if name == "client_verify" else kind.TYPE_STRING,
            label=kind.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.SSLConfig"))()
    text_format.Parse((tmp_path / "ssl.config").read_text(encoding="ascii"), config)
    assert config.server_key == (tmp_path / "server.key").read_text(encoding="ascii")
    assert config.server_cert == config.custom_ca == (tmp_path / "server.crt").read_text(encoding="ascii")
    assert config.client_verify
    swapped = subprocess.run(
        [*script, f"--key={tmp_path}/server.key", f"--cert={tmp_path}/server.key", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert swapped.returncode == 1
    assert "must be PEM and begin with" in swapped.stderr
