#!/usr/bin/env bash
# The README's first command, word for word, as root; then the same job as a fresh ordinary user, who is removed afterwards.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

EXPECTED=45 # what print(sum(range(10))) says

must_exist README.md "it holds the first command"
command=$(grep -m1 -E '^ *(\$ *)?cargo run --release -- run ' README.md | sed -E 's/^ *(\$ *)?//' || true)
[ -n "$command" ] || fail "README.md has no line that starts with: cargo run --release -- run"
case $command in *'print(sum(range(10)))'*) ;; *) fail "the README's first command is not the one that this check knows: $command" ;; esac

say "as $(id -un): $command"
answer=$(bash -c "$command" </dev/null)
[ "$answer" = "$EXPECTED" ] || fail "it printed '$answer', not '$EXPECTED'"
say "it printed $answer"

[ "$(id -u)" = 0 ] || { say "not root: this user was the ordinary user"; exit 0; }
home=$(mktemp -d "${TMPDIR:-/tmp}/runtime-first.XXXXXX")
chmod 0755 "$home"
trap 'remove_user; rm -rf "$home"' EXIT
make_user "$home/home"
# The repository may lie in a directory that others cannot read: the user gets a copy of the binary.
install -m 0755 "$BUILD_DIR/release/runtime" "$home/runtime"
words=${command#cargo run --release -- }
cd "$home/home"
say "as $TEST_USER (uid $TEST_UID): runtime $words"
answer=$(as_user "$home/home" RUN="$home/runtime" sh -c "\"\$RUN\" $words")
[ "$answer" = "$EXPECTED" ] || fail "as an ordinary user it printed '$answer', not '$EXPECTED'"
say "it printed $answer"
# Exit statuses pass through, and what is inside is not the host's.
status=0
as_user "$home/home" "$home/runtime" run -- sh -c "cat /etc/shadow >/dev/null 2>&1 && exit 9; exit 7" || status=$?
[ "$status" = 7 ] || fail "a job that exits 7 gave status $status"
say "exit status 7 came through"
left=$(find "$home/home" -mindepth 1 -not -path "$home/home/.local*" | head -5)
[ -z "$left" ] || fail "left in the user's home: $left"
if [ -d "/tmp/runtime-$TEST_UID" ] && [ -n "$(find "/tmp/runtime-$TEST_UID" -mindepth 1 -print -quit)" ]; then
    fail "left in /tmp/runtime-$TEST_UID: $(find "/tmp/runtime-$TEST_UID" -mindepth 1 | head -5 | tr '\n' ' ')"
fi
no_processes_of_user
