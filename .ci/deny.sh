#!/usr/bin/env bash
# Licences, banned and duplicated crates, sources; advisories when the database can be reached.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_tools
cargo deny --locked check --hide-inclusion-graph bans licenses sources
if cargo deny --locked check advisories >"$CACHE/advisories.log" 2>&1; then
    say "advisories: none"
elif grep -qiE 'failed to fetch advisory database|unable to (fetch|load) advisory|failed to load advisory' "$CACHE/advisories.log"; then
    say "advisories: NOT CHECKED, the advisory database cannot be reached from here"
else
    cat "$CACHE/advisories.log"
    fail "cargo deny check advisories"
fi
