#!/usr/bin/env bash
# The benchmarks: ratios against posix_spawn and bubblewrap, measured in the same run. Numbers are printed, none is asserted.
# Arguments go to the program: `bash .ci/bench.sh --help` lists them. Without root what is missing is not installed but left out, and said.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# want PROGRAM PACKAGE WHY: installs it as root; else says what is lost.
want() {
    if command -v "$1" >/dev/null 2>&1; then return 0; fi
    if [ "$(id -u)" = 0 ]; then need "$1" "$2"; else say "SKIP $1: not installed, and only root can install the Debian package $2; $3"; fi
}

want bwrap bubblewrap "the comparison with bubblewrap is left out"
want busybox busybox-static "/bin/true is started instead of a static program"
cargo build --release --locked -p runtime-cli
cargo build --release --locked -p runtime-benches
exec "$BUILD_DIR/release/runtime-benches" "$@"
