#!/usr/bin/env bash
# Installs what the stages need: programs that the compatibility tests run inside a sandbox, and the pinned tools.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need cargo cargo
need gcc gcc
need g++ g++
need make make
need git git
need python3 python3
need node nodejs
need jq jq
need ps procps
need losetup mount
need lsns util-linux
# The jobs of an ordinary user need interpreters that everybody can read, not only those of root's own PATH.
[ -x /usr/bin/python3 ] || PATH=/usr/bin:/bin need python3 python3
need_tools
for tool in cargo rustc node python3 gcc git cargo-deny cargo-fuzz buf; do
    case $tool in
        cargo-*) version=$("$tool" --version 2>/dev/null || cargo "${tool#cargo-}" --version) ;;
        *) version=$("$tool" --version | head -1) ;;
    esac
    say "$tool: $version"
done
if cargo nextest --version >/dev/null 2>&1; then say "$(cargo nextest --version | head -1)"; else say "cargo-nextest is not installed: the tests run with cargo test"; fi
