#!/usr/bin/env bash
# Lints the proto files; from the first release on, also compares them with the last released version.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_tools
must_exist buf.yaml "it says what buf checks"
[ "$(buf ls-files | wc -l)" -ge 2 ] || fail "buf sees fewer than two proto files"
buf lint
say "buf lint is clean: $(buf ls-files | wc -l) files"
last=$(git tag --list 'v[0-9]*' --sort=-v:refname | head -1)
if [ -n "$last" ]; then
    buf breaking --against ".git#tag=$last"
    say "no breaking change since $last"
else
    say "no release yet, so there is nothing to compare with for breaking changes"
fi
