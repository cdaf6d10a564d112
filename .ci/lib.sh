# shellcheck shell=bash
# What every stage starts with: sourced, never run. Goes to the repository's root, stops at the first error, and knows how to install what a stage needs.
#
# Tools live in one cache directory outside of the repository; Debian packages are installed only when their program is missing.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$REPO"
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/runtime-ci
# shellcheck disable=SC2034 # used by the stages
BUILD_DIR=${CARGO_TARGET_DIR:-$REPO/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

# Prints one line of our own, so that it stands out in a long log.
say() { printf -- '-- %s\n' "$*"; }

# Ends the stage with one sentence.
fail() {
    printf -- '-- FAILED: %s\n' "$*" >&2
    exit 1
}

# need PROGRAM PACKAGE: installs the Debian package when the program is missing.
need() {
    if command -v "$1" >/dev/null 2>&1; then return 0; fi
    [ "$(id -u)" = 0 ] || fail "$1 is missing: install the Debian package $2 (only root can do it from here)"
    say "$1 is missing: installing the Debian package $2"
    if [ ! -e "$CACHE/apt-updated" ] || [ -n "$(find "$CACHE/apt-updated" -mmin +720)" ]; then
        apt-get update -qq
        mkdir -p "$CACHE"
        touch "$CACHE/apt-updated"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
    command -v "$1" >/dev/null 2>&1 || fail "$1 is still missing after installing $2"
}

# Installs the pinned tools of .ci/tools.txt (cargo-deny, cargo-fuzz, buf) once, and puts them first in PATH.
need_tools() {
    local want
    want=$CACHE/tools-$(sha256sum .ci/tools.txt | cut -c1-16)
    if [ ! -e "$want/complete" ]; then
        need python3 python3
        /usr/bin/env python3 -c 'import ensurepip, venv' 2>/dev/null || {
            say "python3 has no venv: installing the Debian package python3-venv"
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        }
        say "installing the tools of .ci/tools.txt into $want"
        rm -rf "$want"
        mkdir -p "$CACHE"
        python3 -m venv "$want"
        "$want/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r .ci/tools.txt
        touch "$want/complete"
    fi
    PATH=$want/bin:$PATH
    export PATH
}

# must_exist PATH WHY: a stage whose input is missing fails; it never passes by having nothing to do.
must_exist() { [ -e "$1" ] || fail "$1 is missing: $2"; }

# skips LOG: the tests that said `SKIP name: reason`, one such line each.
skips() { { grep -aE '^ *SKIP [^ ]+: ' "$1" || true; } | sed 's/^ *//' | sort -u; }

# unexpected_skips LOG LIST: those of them that are not in the list (name, tab, reason; `#` starts a comment; a name between two `*` stands for every test
# whose name contains it and that skips for that very reason).
unexpected_skips() {
    local name reason listed why expected
    skips "$1" | while read -r _ name reason; do
        expected=
        while IFS=$'\t' read -r listed why; do
            if [ "$listed" = "${name%:}" ]; then
                expected=1
            elif [ "${listed#\*?*}" != "$listed" ] && [ "${listed%\*}" != "$listed" ] && [ "$why" = "$reason" ]; then
                listed=${listed#\*}
                case $name in *"${listed%\*}"*) expected=1 ;; esac
            fi
        done <"$2"
        [ -n "$expected" ] || printf 'SKIP %s %s\n' "$name" "$reason"
    done
}

# build_suites DIRECTORY CRATE…: builds the tests of the crates. Writes DIRECTORY/built: `suite NAME PATH` for every test binary and `bin NAME PATH` for every program
# that they start, paths as they were compiled into the tests.
build_suites() {
    local into=$1
    shift
    need jq jq
    cargo test --locked "${@/#/--package=}" --no-run --message-format=json-render-diagnostics >"$into/build.json"
    jq -r 'select(.reason == "compiler-artifact" and .executable != null)
        | if .profile.test then (select(.target.kind != ["bin"]) | "suite \(.target.name) \(.executable)") else "bin \(.target.name) \(.executable)" end' \
        "$into/build.json" >"$into/built"
}

# make_user HOME: a fresh ordinary user, whose name is in TEST_USER and whose id is in TEST_UID. remove_user takes it away again.
make_user() {
    need useradd passwd
    need setpriv util-linux
    TEST_USER=runtime-ci-$$
    useradd --no-create-home --home-dir "$1" --shell /bin/sh "$TEST_USER"
    TEST_UID=$(id -u "$TEST_USER")
    install -d -o "$TEST_USER" -g "$TEST_USER" -m 0700 "$1"
}

# Its run directory may stay, empty; anything in it is a leftover of ours, which is said, and removed all the same.
remove_user() {
    [ -n "${TEST_UID:-}" ] || return 0
    if [ -d "/tmp/runtime-$TEST_UID" ] && ! rmdir "/tmp/runtime-$TEST_UID" 2>/dev/null; then
        say "left behind: $(find "/tmp/runtime-$TEST_UID" | head -5 | tr '\n' ' ')"
    fi
    userdel "$TEST_USER" >/dev/null 2>&1 || say "the user $TEST_USER could not be removed"
    TEST_UID=
}

# as_user HOME COMMAND…: as that user, with nothing of our environment and no capability.
as_user() {
    local home=$1
    shift
    setpriv --reuid "$TEST_UID" --regid "$(id -g "$TEST_USER")" --clear-groups --inh-caps=-all \
        env -i HOME="$home" USER="$TEST_USER" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 "$@" </dev/null
}

# Fails when the user still has processes a few seconds after everything has ended.
no_processes_of_user() {
    local round
    for round in 1 2 3 4 5; do
        pgrep -u "$TEST_UID" >/dev/null || return 0
        sleep "$round"
    done
    fail "processes of $TEST_USER are left: $(pgrep -lu "$TEST_UID" | tr '\n' ' ')"
}
