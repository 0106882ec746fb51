# An image with the commands of the project; TensorFlow Serving, for production, has its own. It was not built where it was
# written: no container engine was available there.
#   docker build --tag=emr-ner .
#   docker run --rm --network=none --user=$(id -u):$(id -g) --volume=$PWD:/work emr-ner quickstart
FROM python:3.11-slim-bookworm AS wheels
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Makefile pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY requirements requirements
COPY configs configs
COPY emr_ner_tf emr_ner_tf
RUN make wheelhouse

FROM python:3.11-slim-bookworm
RUN --network=none --mount=type=bind,from=wheels,source=/source/wheelhouse,target=/wheelhouse \
    python -m pip install --no-cache-dir --no-index --find-links /wheelhouse --require-hashes -r /wheelhouse/requirements.txt
# Libraries write their caches here, whatever the user.
ENV HOME=/tmp TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /work
USER 65534:65534
ENTRYPOINT ["emr-ner"]
CMD ["--help"]
