#!/usr/bin/env bash
# The tests that depend on the kernel, as a fresh ordinary user of this host: test-user.sh [suite…]. Only root can make that user; anybody else is one: `bash .ci/test.sh`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" = 0 ] || fail "only root can make a user: run .ci/test.sh, which runs the same tests as yourself"
SUITES=("$@")
# The suites of tests/ make that user themselves, when root runs them.
[ ${#SUITES[@]} -gt 0 ] || SUITES=(runtime_sys)

work=$(mktemp -d "${TMPDIR:-/tmp}/runtime-user.XXXXXX")
chmod 0755 "$work"
trap 'remove_user; rm -rf "$work"' EXIT
build_suites "$work" runtime-sys
for suite in "${SUITES[@]}"; do grep -q "^suite $suite " "$work/built" || fail "there is no test suite named $suite"; done
make_user "$work/home"
mkdir -m 1777 "$work/tmp"
list=$REPO/tests/expected-skips/rootless.txt

# One suite, in a mount namespace of its own, where the repository can be read by everybody.
run_suite() {
    source "$REPO/.ci/open-repository.sh"
    open_repository
    cd "$REPO/tests"
    as_user "$work/home" TMPDIR="$work/tmp" CARGO_MANIFEST_DIR="$REPO/tests" RUNTIME_TESTS_MUST_RUN=1 RUNTIME_TESTS_EXPECTED_SKIPS="$list" timeout --kill-after=20 900 "$1" --show-output
}
export -f run_suite as_user
export REPO TEST_UID TEST_USER work list STAGE=$work

bad=()
for suite in "${SUITES[@]}"; do
    binary=$(awk -v suite="$suite" '$1 == "suite" && $2 == suite {print $3}' "$work/built")
    log=$work/$suite.log
    status=0
    unshare --mount --propagation private bash -euo pipefail -c 'run_suite "$1"' bash "$binary" >"$log" 2>&1 || status=$?
    say "$TEST_USER · $suite: status $status · $(grep -E '^test result: ' "$log" | tail -1 || true)"
    unexpected=$(unexpected_skips "$log" "$list")
    [ -z "$unexpected" ] || say "not in $list: $unexpected"
    if [ "$status" != 0 ] || [ -n "$unexpected" ] || ! grep -qE '^test result: ok\. [1-9]' "$log"; then
        bad+=("$suite")
        if grep -q '^failures:$' "$log"; then sed -n '/^failures:$/,$p' "$log" | head -600; else tail -120 "$log"; fi
    fi
done
no_processes_of_user
[ ${#bad[@]} -eq 0 ] || fail "as an ordinary user: ${bad[*]}"
