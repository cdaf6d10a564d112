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

# unexpected_skips LOG LIST: those of them that are not in the list (name, tab, reason; `#` starts a comment).
unexpected_skips() {
    skips "$1" | while read -r _ name reason; do
        grep -q "^${name%:}"$'\t.' "$2" || printf 'SKIP %s %s\n' "$name" "$reason"
    done
}
