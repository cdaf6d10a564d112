#!/usr/bin/env python3
"""Checks the borders between the crates.

1. The kernel crates are dependencies of runtime-sys only.
2. `unsafe` appears in runtime/ and proto/ only where it is allowed, and every other crate inherits the lint that forbids it.
3. Dependencies point one way: cli -> server -> sandbox -> sys, and everyone -> plan -> nobody.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

KERNEL_CRATES = {"nix", "caps", "landlock", "seccompiler", "cgroups-rs", "libc", "rustix"}
# Who may use a kernel crate besides runtime-sys. The probes are the attacker's side: they call the kernel directly on purpose.
KERNEL_CRATES_ALSO = {
    "runtime-probes": {"libc"},
    "runtime-tests": {"libc"},
}
UNSAFE_ALLOWED = {"runtime/sys", "runtime/probes"}
# Our crates that each crate may use (in [dependencies] and [build-dependencies]).
MAY_USE = {
    "runtime-plan": set(),
    "runtime-proto": set(),
    "runtime-probes": set(),
    "runtime-sys": {"runtime-plan"},
    "runtime-sandbox": {"runtime-sys", "runtime-plan"},
    "runtime-server": {"runtime-sandbox", "runtime-sys", "runtime-plan", "runtime-proto"},
    "runtime-cli": {"runtime-server", "runtime-sandbox", "runtime-sys", "runtime-plan", "runtime-proto", "runtime-probes"},
    "runtime-tests": None,  # anything
    "runtime-benches": None,
}


def packages():
    out = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    return json.loads(out)["packages"]


def check_dependencies(package):
    name = package["name"]
    if name not in MAY_USE:
        yield f"{name}: a new crate; say in .ci/borders.py what it may use"
        return
    for dependency in package["dependencies"]:
        used = dependency["name"]
        if used in KERNEL_CRATES and name != "runtime-sys" and used not in KERNEL_CRATES_ALSO.get(name, set()):
            yield f"{name} depends on {used}: kernel crates belong to runtime-sys"
        allowed = MAY_USE[name]
        if allowed is None or dependency["kind"] == "dev":
            continue
        if used in MAY_USE and used not in allowed:
            yield f"{name} depends on {used}: dependencies point cli -> server -> sandbox -> sys, and everyone -> plan"


def check_unsafe(root, package):
    house = pathlib.Path(package["manifest_path"]).parent
    place = house.relative_to(root).as_posix()
    if place in UNSAFE_ALLOWED or not (place == "proto" or place.startswith("runtime/")):
        return
    manifest = tomllib.loads((house / "Cargo.toml").read_text())
    lints = manifest.get("lints", {})
    inherits = lints.get("workspace") is True or lints.get("rust", {}).get("unsafe_code") == "forbid"
    for file in sorted(house.rglob("*.rs")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            code = line.split("//", 1)[0]
            code = re.sub(r'"(?:\\.|[^"\\])*"', '""', code)
            if re.search(r"\bunsafe\b", code):
                yield f"{file.relative_to(root)}:{number}: unsafe outside of {', '.join(sorted(UNSAFE_ALLOWED))}"
        if not inherits and file == house / "src/lib.rs" and "#![forbid(unsafe_code)]" not in file.read_text():
            yield f"{package['name']}: neither `[lints] workspace = true` nor `#![forbid(unsafe_code)]`"


def main():
    root = pathlib.Path.cwd()
    workspace = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]
    found = []
    if workspace["lints"]["rust"].get("unsafe_code") != "forbid":
        found.append("Cargo.toml: [workspace.lints.rust] must say unsafe_code = \"forbid\"")
    members = packages()
    for package in members:
        found += check_dependencies(package)
        found += check_unsafe(root, package)
    if len(members) < 5:
        found.append(f"only {len(members)} packages were seen: this check reads the wrong workspace")
    for line in found:
        print(f"-- border: {line}", file=sys.stderr)
    if found:
        return 1
    print(f"-- borders hold in {len(members)} crates")
    return 0


if __name__ == "__main__":
    sys.exit(main())
