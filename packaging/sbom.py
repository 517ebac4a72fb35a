#!/usr/bin/env python3
"""Writes what the program is made of as a CycloneDX document: every crate that is linked into it, and the
C and C++ libraries that crates bring along, which scanners of Cargo.lock do not see.

usage: sbom.py OUT
"""

import json
import os
import pathlib
import subprocess
import sys
import tomllib
import uuid

# The libraries within crates. The crate's version names the library's, behind the plus sign.
BUNDLED = {
    "librocksdb-sys": ("rocksdb", "", "v", "facebook/rocksdb", "GPL-2.0-only OR Apache-2.0"),
    "lz4-sys": ("lz4", "lz4-", "v", "lz4/lz4", "BSD-2-Clause"),
    "tikv-jemalloc-sys": ("jemalloc", "", "", "jemalloc/jemalloc", "BSD-2-Clause"),
    "zstd-sys": ("zstd", "zstd.", "v", "facebook/zstd", "BSD-3-Clause OR GPL-2.0-only"),
}


def metadata(root):
    host = subprocess.check_output(["rustc", "--print", "host-tuple"], cwd=root, text=True).strip()
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", host]
    return json.loads(subprocess.check_output(command, cwd=root))


def linked(nodes, top):
    """The packages that are linked, each with those that it takes, by id."""
    found, waiting = {}, [top]
    while waiting:
        package = waiting.pop()
        if package not in found:
            deps = nodes[package]["deps"]
            found[package] = sorted(
                dep["pkg"] for dep in deps if any(kind["kind"] is None for kind in dep["dep_kinds"])
            )
            waiting.extend(found[package])
    return found


def component(package, checksums):
    name, version = package["name"], package["version"]
    described = {
        "type": "library",
        "bom-ref": f"pkg:cargo/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
    }
    if package["license"]:
        # An old way to write OR.
        described["licenses"] = [{"expression": " ".join(package["license"].replace("/", " OR ").split())}]
    if (name, version) in checksums:
        described["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
    return described


def library(package):
    name, prefix, tag, repository, license = BUNDLED[package["name"]]
    # Of jemalloc, the commit is named as well.
    version = package["version"].partition("+")[2].removeprefix(prefix).partition("-")[0]
    if not version:
        sys.exit(f"{package['name']} {package['version']} does not tell the version of {name}")
    purl = f"pkg:github/{repository}@{tag}{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": [{"expression": license}],
    }


def main(out):
    root = pathlib.Path(__file__).resolve().parent.parent
    data = metadata(root)
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    found = linked(nodes, data["resolve"]["root"])
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    checksums = {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}

    crates = {id: component(packages[id], checksums) for id in found}
    libraries = {id: library(packages[id]) for id in found if packages[id]["name"] in BUNDLED}
    missing = set(BUNDLED) - {packages[id]["name"] for id in found}
    if missing:
        sys.exit(f"no longer linked: {', '.join(sorted(missing))}")
    program = crates.pop(data["resolve"]["root"])
    program["type"] = "application"
    dependencies = []
    for id, deps in found.items():
        own = [crates[dep]["bom-ref"] for dep in deps]
        if id in libraries:
            own.append(libraries[id]["bom-ref"])
            dependencies.append({"ref": libraries[id]["bom-ref"], "dependsOn": []})
        ref = program["bom-ref"] if id not in crates else crates[id]["bom-ref"]
        dependencies.append({"ref": ref, "dependsOn": sorted(own)})
    components = sorted([*crates.values(), *libraries.values()], key=lambda one: one["bom-ref"])
    identity = json.dumps([program, components], sort_keys=True)
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same program has the same number.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {"component": program},
        "components": components,
        "dependencies": sorted(dependencies, key=lambda one: one["ref"]),
    }
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    pathlib.Path(out).write_text(json.dumps(bom, indent=1) + "\n")
    print(f"{out}: {len(crates)} crates, {len(libraries)} C and C++ libraries")


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(sys.argv[1])
