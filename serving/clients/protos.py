#!/usr/bin/env python3
"""Writes out the protos behind TensorFlow Serving's PredictionService, for stubs in other languages.

  serving/clients/protos.py --descriptor_set=FILE
  serving/clients/protos.py --go=DIR

The .proto files themselves are not needed: the Python packages tensorflow-serving-api and tensorflow carry their
descriptors. --descriptor_set writes them as one FileDescriptorSet for `protoc --descriptor_set_in`. --go writes Go
stubs into the folder `stubs` of a Go module with the plugins that its go.mod names as tools; protoc is not needed.
"""

import argparse
import contextlib
import pathlib
import subprocess
import sys

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.compiler import plugin_pb2

ROOT = "tensorflow_serving/apis/prediction_service.proto"
# The stubs of these are part of protobuf for Go.
WELL_KNOWN = "google/protobuf/"


def descriptors() -> list[descriptor_pb2.FileDescriptorProto]:
    """Returns the descriptors of ROOT and of all that it imports, each after its imports."""
    # The newer protobuf runtimes refuse the module's last lines; by then its descriptor is in the pool.
    with contextlib.suppress(AttributeError):
        from tensorflow_serving.apis import prediction_service_pb2  # noqa: F401

    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def visit(file) -> None:
        if file.name not in found:
            for imported in file.dependencies:
                visit(imported)
            found[file.name] = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(found[file.name])

    visit(descriptor_pool.Default().FindFileByName(ROOT))
    return list(found.values())


def write_go(files: list[descriptor_pb2.FileDescriptorProto], module: pathlib.Path) -> None:
    """Writes Go stubs: a package for each folder of protos."""
    name = (module / "go.mod").read_text(encoding="utf-8").split()[1]
    ours = [file.name for file in files if not file.name.startswith(WELL_KNOWN)]
    parameters = [f"module={name}"]
    for file in ours:
        folder = file.rpartition("/")[0]
        parameters.append(f"M{file}={name}/stubs/{folder};{folder.rpartition('/')[2]}")
    request = plugin_pb2.CodeGeneratorRequest(file_to_generate=ours, proto_file=files)
    for plugin, more in (
        ("protoc-gen-go", []),
        ("protoc-gen-go-grpc", ["require_unimplemented_servers=false"]),
    ):
        request.parameter = ",".join(parameters + more)
        done = subprocess.run(
            ["go", "tool", plugin],
            cwd=module,
            input=request.SerializeToString(),
            stdout=subprocess.PIPE,
            check=False,
        )
        response = plugin_pb2.CodeGeneratorResponse.FromString(done.stdout)
        if done.returncode or response.error:
            sys.exit(f"{plugin}: {response.error or f'exit status {done.returncode}'}")
        for file in response.file:
            path = module / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content, encoding="utf-8")


def main() -> None:
    """Writes the protos in the requested form."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument("--descriptor_set", type=pathlib.Path)
    form.add_argument("--go", type=pathlib.Path)
    arguments = parser.parse_args()
    files = descriptors()
    try:
        if arguments.go:
            write_go(files, arguments.go)
        else:
            written = descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()
            arguments.descriptor_set.write_bytes(written)
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
