#!/usr/bin/env bash
# The whole test suite, as the README says it: nextest where it is installed, else cargo test. A test that skips without being expected to, fails.
# Arguments replace `--workspace`: test.sh -p runtime-plan, test.sh --workspace some_name. The lists of expected skips are tests/expected-skips/{rootful,rootless}.txt. Prints `tests: N passed, N failed, N skipped` as its last line.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export RUNTIME_TESTS_MUST_RUN=1
if [ "$(id -u)" = 0 ]; then list=rootful; else list=rootless; fi
export RUNTIME_TESTS_EXPECTED_SKIPS=${RUNTIME_TESTS_EXPECTED_SKIPS:-$REPO/tests/expected-skips/$list.txt}
must_exist "$RUNTIME_TESTS_EXPECTED_SKIPS" "the list of tests that are expected to skip here"

log=$(mktemp "${TMPDIR:-/tmp}/runtime-test.XXXXXX")
trap 'rm -f "$log"' EXIT
# The log has everything; the screen has the verdicts as they come, and everything after a failure.
verdicts() { tee -a "$log" | grep --line-buffered -E '^ *(PASS|FAIL|SLOW|TIMEOUT|LEAK|SIGN|Summary|Compiling runtime[^ ]*) |^(error|warning: unused|test result: |running )|^test .* \.\.\. ' || true; }
scope=("$@")
[ $# -gt 0 ] || scope=(--workspace)
status=0
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --no-fail-fast --success-output final "${scope[@]}" 2>&1 | verdicts || status=$?
    # nextest does not run the examples of the documentation.
    [ $# -gt 0 ] || cargo test --workspace --locked --doc 2>&1 | verdicts || status=$?
else
    cargo test --locked --no-fail-fast "${scope[@]}" -- --show-output 2>&1 | verdicts || status=$?
fi
[ "$status" = 0 ] || { say "the whole log:"; cat "$log"; }
skipped=$(skips "$log")
[ -z "$skipped" ] || { say "tests that skipped:"; printf '%s\n' "$skipped"; }
unexpected=$(unexpected_skips "$log" "$RUNTIME_TESTS_EXPECTED_SKIPS")
sum() { { grep -E 'Summary \[|^test result: ' "$log" || true; } | { grep -oE "[0-9]+ $1" || true; } | awk '{n += $1} END {print n + 0}'; }
passed=$(sum passed) failed=$(sum failed)
printf 'tests: %s passed, %s failed, %s skipped\n' "$passed" "$failed" "$(printf '%s' "$skipped" | grep -c . || true)"
[ "$status" = 0 ] || exit "$status"
[ -z "$unexpected" ] || fail "these skips are not in $RUNTIME_TESTS_EXPECTED_SKIPS: $unexpected"
[ "$passed" -gt 0 ] || fail "no test ran"
