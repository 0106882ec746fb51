#!/usr/bin/env bash
# Checks serving/ against the official TensorFlow Serving image; needs a container engine with Compose 2.24 or newer:
#   serving/smoke.sh BUNDLES
# BUNDLES is the directory of a bundle's versions. The script starts, each as an unprivileged user:
#   compose.yaml      gRPC, REST, status, metrics, health, batching
#   compose.tls.yaml  mutual TLS, with a key that only its owner may read
#   the flags of kubernetes/deployment.yaml with models.canary.config: versions by label
# The entities must be those that the bundle finds in Python. Of Kubernetes, only the flags are checked: no probes, no
# draining, no scaling. The last line is "all checks passed" or the check that failed.
set -euo pipefail

bundles=$(cd "${1:?usage: serving/smoke.sh BUNDLES}" && pwd)
cd "$(dirname "$0")/.."
engine=${ENGINE:-docker}
image=${TF_SERVING_IMAGE:-tensorflow/serving:2.18.0}
python=${PYTHON:-.venv/bin/python}
if ! "$engine" info >/dev/null 2>&1; then
  echo "'$engine info' failed: a container engine must be running; ENGINE=podman selects another one" >&2
  exit 2
fi
work=$(mktemp -d)
export BUNDLES=$bundles TF_SERVING_IMAGE=$image GRPC_PORT=18500 REST_PORT=18501
export SSL_CONFIG=$work/ssl.config SERVING_USER
SERVING_USER=$(id -u):$(id -g)

compose() { "$engine" compose --project-name ner-smoke --file serving/compose.yaml "$@"; }

clean() {
  # The server ignores SIGTERM, so without a timeout this would wait for it.
  compose down --timeout 1 >/dev/null 2>&1 || true
  "$engine" rm --force ner-smoke-canary >/dev/null 2>&1 || true
}

finish() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    compose logs >&2 || true
    "$engine" logs ner-smoke-canary >&2 || true
  fi
  clean
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

loaded() { # waits for the model by REST
  for _ in $(seq 120); do
    curl --silent --fail "localhost:$REST_PORT/v1/models/ner/metadata" >/dev/null && return
    sleep 1
  done
  echo "the server did not load the bundle within two minutes" >&2
  exit 1
}

annotate() { "$python" -m emr_ner_tf.cli.annotate --input="$work/data/test.jsonl" "$@"; }

"$python" -m emr_ner_tf.cli.synthesize --output_dir="$work/data"
annotate --bundle="$bundles" --output="$work/expected.jsonl"
clean

echo "compose.yaml: gRPC, REST, status, metrics, health, batching"
metrics=localhost:$REST_PORT/monitoring/prometheus/metrics
compose up --detach
loaded
annotate --server="localhost:$GRPC_PORT" --output="$work/grpc.jsonl"
annotate --server="localhost:$REST_PORT" --protocol=rest --output="$work/rest.jsonl"
curl --silent --fail "localhost:$REST_PORT/v1/models/ner" >"$work/status"
grep --quiet AVAILABLE "$work/status"
curl --silent --fail "$metrics" >"$work/metrics"
grep --quiet request_count "$work/metrics"
"$python" - "localhost:$GRPC_PORT" <<'PY'
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
if answer.status != health_pb2.HealthCheckResponse.SERVING:
    sys.exit("health: not SERVING")
PY
"$python" serving/smoke_batching.py "localhost:$GRPC_PORT" "http://$metrics"
clean

echo "compose.tls.yaml: mutual TLS"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -keyout "$work/server.key" -out "$work/server.crt" 2>/dev/null
serving/tls/make_ssl_config.py --key="$work/server.key" --cert="$work/server.crt" --client_ca="$work/server.crt" \
  --output="$SSL_CONFIG"
compose --file serving/compose.tls.yaml up --detach
# The REST port is not published, so the client waits for the gRPC port.
annotate --server="localhost:$GRPC_PORT" --retry_timeout_s=120 --tls_ca="$work/server.crt" --tls_cert="$work/server.crt" \
  --tls_key="$work/server.key" --output="$work/tls.jsonl"
if annotate --server="localhost:$GRPC_PORT" --retry_timeout_s=0 --tls_ca="$work/server.crt" \
  --output="$work/uncertified.jsonl" 2>/dev/null; then
  echo "mutual TLS: a client without a certificate was accepted" >&2
  exit 1
fi
clean

echo "kubernetes/deployment.yaml's flags, models.canary.config: versions by label"
newest=$(find "$bundles" -mindepth 1 -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort --numeric-sort | tail -n 1)
for version in 1 2; do
  mkdir -p "$work/canary/$version"
  cp -r "$bundles/$newest/." "$work/canary/$version"
done
chmod -R a+rX "$work/canary"
mapfile -t flags < <(sed -n 's|/config/models\.config|/config/models.canary.config|; s/^ *- \(--[a-z].*\)/\1/p' \
  serving/kubernetes/deployment.yaml)
"$engine" run --detach --name ner-smoke-canary --user 65534:65534 --read-only --tmpfs /tmp --cap-drop ALL \
  -p "127.0.0.1:$GRPC_PORT:8500" -p "127.0.0.1:$REST_PORT:8501" \
  -v "$work/canary:/models/ner:ro" -v "$PWD/serving:/config:ro" \
  --entrypoint /usr/bin/tensorflow_model_server "$image" "${flags[@]}" \
  --allow_version_labels_for_unavailable_models=true >/dev/null
loaded
for label in stable canary; do
  annotate --server="localhost:$GRPC_PORT" --version_label="$label" --output="$work/$label.jsonl"
done

"$python" - "$work" grpc rest tls stable canary <<'PY'
import pathlib
import sys

from emr_ner_tf.data.reading import read_documents

work = pathlib.Path(sys.argv[1])
expected = [document.entities for document in read_documents(work / "expected.jsonl")]
for name in sys.argv[2:]:
    found = [document.entities for document in read_documents(work / f"{name}.jsonl")]
    if found != expected:
        sys.exit(f"{name}: entities differ from the bundle's in Python")
PY
echo "all checks passed with $image"
