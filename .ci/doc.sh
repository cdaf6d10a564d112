#!/usr/bin/env bash
# The documentation builds without a warning (broken links are warnings).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
