#!/usr/bin/env bash
# The benchmarks: ratios against posix_spawn and bubblewrap, measured in the same run. Numbers are printed, none is asserted.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need bwrap bubblewrap
cargo build --release --locked
cargo bench --locked -p runtime-benches "$@"
