#!/usr/bin/env bash
# Format, clippy with warnings as errors, the borders between the crates, and the rules of the shell scripts.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cargo fmt --all --check
say "format is clean"
need shellcheck shellcheck
shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR .ci/run .ci/*.sh tests/vm/*.sh
say "shell scripts are clean"
need python3 python3
python3 .ci/borders.py
cargo clippy --workspace --all-targets --locked -- -D warnings
say "clippy is clean"
