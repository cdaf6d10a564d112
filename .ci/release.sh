#!/usr/bin/env bash
# Builds the release binary, and shows that it holds no test switch: a wall cannot be turned off in what is shipped.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SWITCH=RUNTIME_TEST_WALLS_OFF

cargo build --release --locked
shipped=$BUILD_DIR/release/runtime
must_exist "$shipped" "cargo build --release should have made it"
# The search must be able to find it: the test build of the same code holds the switch.
cargo build --locked -p runtime-tests --bin runtime-under-test
grep -aq "$SWITCH" "$BUILD_DIR/debug/runtime-under-test" || fail "the test build does not hold $SWITCH, so its absence elsewhere would prove nothing"
if grep -aq "$SWITCH" "$shipped"; then fail "$shipped holds the test switch $SWITCH"; fi
say "no test switch in $shipped ($(stat -c %s "$shipped") bytes)"
