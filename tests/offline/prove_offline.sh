#!/usr/bin/env bash
# Proves that the project works without a network, in a network namespace whose only interface is the loopback:
#   tests/offline/prove_offline.sh WHEELHOUSE ENCODER
# It installs from WHEELHOUSE (make wheelhouse) into a new environment, runs the quickstart, trains on the local encoder in
# the directory ENCODER, serves the quickstart's model and sends it a text. PYTHON names a Python 3.11.
set -euo pipefail

if [ "$1" != --inside ]; then
  script=$(realpath "$0") wheelhouse=$(realpath "$1") encoder=$(realpath "$2")
  python=$("${PYTHON:-python3.11}" -c 'import sys; print(sys.executable)')
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  cd "$work"
  # No setting of this user's, no proxy, no cache and no checkout helps.
  env -i HOME="$work" PATH=/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 TF_CPP_MIN_LOG_LEVEL=3 \
    unshare --map-root-user --net "$script" --inside "$wheelhouse" "$encoder" "$python"
  exit
fi

wheelhouse=$2 encoder=$3 python=$4
step() { printf '\n== %s s: %s\n' "$SECONDS" "$*"; }

ip link set lo up
interfaces=$(ip -brief link show up | cut -d' ' -f1)
[ "$interfaces" = lo ] || { echo "this namespace has other interfaces than the loopback: $interfaces" >&2; exit 1; }
step "interfaces that are up: $interfaces; routes: $(ip route | wc -l)"

step "install from $wheelhouse"
"$python" -m venv environment
environment/bin/python -m pip install --quiet --disable-pip-version-check \
  --no-index --find-links "$wheelhouse" --require-hashes -r "$wheelhouse/requirements.txt"
environment/bin/python -m pip --disable-pip-version-check check
PATH=$PWD/environment/bin:$PATH

step "quickstart"
emr-ner quickstart --work_dir=quickstart

step "train on the encoder in $encoder"
emr-ner synthesize --output_dir=data --records=64 --test_records=8
emr-ner train --config=default --config.encoder="$encoder" --config.data.train=data/train.jsonl \
  --config.train.epochs=1 --model_dir=model

step "export, serve, and annotate with a client"
emr-ner try_serving --model_dir=quickstart/model --output=bundles --text='患者因右肺上叶腺癌入院。' | tee served
grep -q '"label_type": "疾病和诊断"' served

step "everything above ran without a network"
