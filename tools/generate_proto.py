"""Generates proto/gen from proto/flowfabric_api. Run by `make proto`."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path

from google.rpc import status_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "proto"


def generate(target: Path) -> None:
    """Writes modules, type stubs, gRPC stubs and commented descriptors for every proto below `target`."""
    protos = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob("flowfabric_api/**/*.proto"))
    common = Path(status_pb2.__file__).parents[2]  # googleapis-common-protos ships its .proto files
    includes = [str(SOURCE), str(files("grpc_tools") / "_proto"), str(common)]
    arguments = [
        "protoc",
        *(f"-I{include}" for include in includes),
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        # For the descriptions in /openapi.json: generated modules carry no comments.
        f"--descriptor_set_out={target / 'flowfabric_api' / 'descriptors.binpb'}",
        "--include_source_info",
        *protos,
    ]
    (target / "flowfabric_api").mkdir(parents=True, exist_ok=True)
    if protoc.main(arguments):
        sys.exit("protoc failed")
    for folder in {path.parent for path in target.glob("flowfabric_api/**/*.py")}:
        for package in (folder, *folder.parents):
            if package == target:
                break
            (package / "__init__.py").touch()


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE / "gen"
    shutil.rmtree(target / "flowfabric_api", ignore_errors=True)
    generate(target)


if __name__ == "__main__":
    main()
