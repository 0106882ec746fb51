#!/usr/bin/env bash
# Checks serving/ against the official TensorFlow Serving image, where a container engine is at hand:
#   serving/smoke.sh BUNDLES
# BUNDLES is the directory of a bundle's versions. Plain and mutual TLS, gRPC and REST, status, metrics, batching; the
# entities must be those that the bundle finds in Python. It ends with "all checks passed", or with what failed.
set -euo pipefail

bundles=$(cd "${1:?usage: serving/smoke.sh BUNDLES}" && pwd)
cd "$(dirname "$0")/.."
engine=${ENGINE:-docker}
image=${TF_SERVING_IMAGE:-tensorflow/serving:2.18.0}
python=${PYTHON:-.venv/bin/python}
if ! "$engine" info >/dev/null 2>&1; then
  echo "no container engine answers to '$engine info'; name another with ENGINE=podman" >&2
  exit 2
fi
work=$(mktemp -d)
trap '"$engine" rm --force ner-smoke >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

start() { # flags of the model server
  "$engine" rm --force ner-smoke >/dev/null 2>&1 || true
  "$engine" run --detach --name ner-smoke -p 127.0.0.1:18500:8500 -p 127.0.0.1:18501:8501 \
    -v "$bundles:/models/ner:ro" -v "$PWD/serving:/config:ro" -v "$work:/tls:ro" \
    --entrypoint /usr/bin/tensorflow_model_server "$image" --port=8500 --rest_api_port=8501 \
    --model_config_file=/config/models.config --enable_batching=true \
    --batching_parameters_file=/config/batching_parameters.txt \
    --monitoring_config_file=/config/monitoring.config "$@" >/dev/null
  for _ in $(seq 120); do
    curl --silent --fail localhost:18501/v1/models/ner/metadata >/dev/null && return
    sleep 1
  done
  "$engine" logs ner-smoke >&2
  echo "the server has not loaded the bundle in two minutes" >&2
  exit 1
}

annotate() { "$python" -m emr_ner_tf.cli.annotate --input="$work/data/test.jsonl" "$@"; }

"$python" -m emr_ner_tf.cli.synthesize --output_dir="$work/data"
annotate --bundle="$bundles" --output="$work/expected.jsonl"

echo "plain: gRPC, REST, status, metrics"
start
annotate --server=localhost:18500 --output="$work/grpc.jsonl"
annotate --server=localhost:18501 --protocol=rest --output="$work/rest.jsonl"
curl --silent --fail localhost:18501/v1/models/ner | grep --quiet AVAILABLE
curl --silent --fail localhost:18501/monitoring/prometheus/metrics | grep --quiet request_count

echo "mutual TLS"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -keyout "$work/server.key" -out "$work/server.crt" 2>/dev/null
serving/tls/make_ssl_config.py --key="$work/server.key" --cert="$work/server.crt" --client_ca="$work/server.crt" \
  --output="$work/ssl.config"
chmod 644 "$work/ssl.config" # the container's user is another one; the folder is removed at the end
chmod 755 "$work"
start --ssl_config_file=/tls/ssl.config
annotate --server=localhost:18500 --tls_ca="$work/server.crt" --tls_cert="$work/server.crt" \
  --tls_key="$work/server.key" --output="$work/tls.jsonl"

"$python" - "$work" <<'PY'
import pathlib
import sys

from emr_ner_tf.data.reading import read_documents

work = pathlib.Path(sys.argv[1])
expected = [document.entities for document in read_documents(work / "expected.jsonl")]
for name in ("grpc", "rest", "tls"):
    found = [document.entities for document in read_documents(work / f"{name}.jsonl")]
    if found != expected:
        sys.exit(f"{name}: entities differ from the bundle's in Python")
PY
echo "all checks passed with $image"
