#!/usr/bin/env python3
"""Writes the JSON schemas that kubeconform checks the rendered chart against.

Built-in kinds come from the OpenAPI file of the k8s.io/kubernetes module that
the control plane is built from; our own kind and ServiceMonitor come from
their CustomResourceDefinitions. Nothing is fetched from the web.

usage: schemas.py OPENAPI_JSON OUTPUT_DIR [CRD.yaml ...]
"""
import json
import pathlib
import sys

import yaml

# What the chart renders, and no more: a kind that is missing here makes
# kubeconform fail, which is what we want from a new template.
KINDS = {"Deployment", "Service", "ServiceAccount", "Role", "RoleBinding", "CustomResourceDefinition"}
PREFIX = "#/definitions/"


def close(node):
    """Refuses unknown fields wherever an object lists its properties."""
    if isinstance(node, dict):
        if "properties" in node and "additionalProperties" not in node and not node.get(
            "x-kubernetes-preserve-unknown-fields"
        ):
            node["additionalProperties"] = False
        if node.get("format") == "int-or-string" or node.get("x-kubernetes-int-or-string"):
            node.pop("type", None)
            node["oneOf"] = [{"type": "string"}, {"type": "integer"}]
        for value in node.values():
            close(value)
    elif isinstance(node, list):
        for value in node:
            close(value)


def reachable(definitions, root):
    found, todo = {}, [root]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = definitions[name]
            text = json.dumps(definitions[name])
            todo += [part.split('"')[0] for part in text.split(PREFIX)[1:]]
    return found


def write(folder, kind, group, version, schema):
    suffix = f"-{group.split('.')[0]}-{version}" if group else f"-{version}"
    (folder / f"{kind.lower()}{suffix}.json").write_text(json.dumps(schema))


def builtin(openapi, folder):
    definitions = json.loads(pathlib.Path(openapi).read_text())["definitions"]
    close(definitions)
    quantity = definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]
    quantity.pop("type", None)
    quantity["oneOf"] = [{"type": "string"}, {"type": "number"}]
    # A CRD's schema holds free JSON, which the closed definitions cannot describe.
    for name in [n for n in definitions if n.endswith(".JSONSchemaProps") or n.endswith(".JSON")]:
        definitions[name] = {"type": "object"} if name.endswith("Props") else {}
    written = set()
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            if kind["kind"] in KINDS:
                schema = {"$ref": PREFIX + name, "definitions": reachable(definitions, name)}
                write(folder, kind["kind"], kind["group"], kind["version"], schema)
                written.add(kind["kind"])
    missing = KINDS - written
    if missing:
        sys.exit(f"schemas.py: {openapi} has no definition of {', '.join(sorted(missing))}")


def custom(path, folder):
    for crd in yaml.safe_load_all(pathlib.Path(path).read_text()):
        for version in crd["spec"]["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            close(schema)
            # Kubernetes itself checks these two; the CRD's schema leaves them open.
            schema["properties"]["metadata"] = {"type": "object"}
            write(folder, crd["spec"]["names"]["kind"], crd["spec"]["group"], version["name"], schema)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    builtin(sys.argv[1], out)
    for crd_file in sys.argv[3:]:
        custom(crd_file, out)
