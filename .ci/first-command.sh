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
need useradd passwd
need runuser util-linux
user=runtime-ci-$$
home=$(mktemp -d "${TMPDIR:-/tmp}/runtime-first.XXXXXX")
chmod 0755 "$home"
uid=
remove() {
    if [ -n "$uid" ]; then
        # The user's own run directory may stay, empty; anything in it is a leftover of the runtime.
        [ ! -d "/tmp/runtime-$uid" ] || rmdir "/tmp/runtime-$uid" 2>/dev/null || say "left behind: $(find "/tmp/runtime-$uid" | head -5 | tr '\n' ' ')"
        userdel "$user" >/dev/null 2>&1 || say "the user $user could not be removed"
    fi
    rm -rf "$home"
}
trap remove EXIT
useradd --no-create-home --home-dir "$home/home" --shell /bin/sh "$user"
uid=$(id -u "$user")
install -d -o "$user" -m 0700 "$home/home"
# The repository may lie in a directory that others cannot read: the user gets a copy of the binary.
install -m 0755 "$BUILD_DIR/release/runtime" "$home/runtime"
words=${command#cargo run --release -- }
as_user() {
    (cd "$home/home" && runuser -u "$user" -- env -i HOME="$home/home" USER="$user" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 RUN="$home/runtime" sh -c "$1" </dev/null)
}
say "as $user (uid $uid): runtime $words"
answer=$(as_user "\"\$RUN\" $words")
[ "$answer" = "$EXPECTED" ] || fail "as an ordinary user it printed '$answer', not '$EXPECTED'"
say "it printed $answer"
# Exit statuses pass through, and what is inside is not the host's.
status=0
as_user '"$RUN" run -- sh -c "cat /etc/shadow >/dev/null 2>&1 && exit 9; exit 7"' || status=$?
[ "$status" = 7 ] || fail "a job that exits 7 gave status $status"
say "exit status 7 came through"
left=$(find "$home/home" -mindepth 1 -not -path "$home/home/.local*" | head -5)
[ -z "$left" ] || fail "left in the user's home: $left"
if [ -d "/tmp/runtime-$uid" ] && [ -n "$(find "/tmp/runtime-$uid" -mindepth 1 -print -quit)" ]; then
    fail "left in /tmp/runtime-$uid: $(find "/tmp/runtime-$uid" -mindepth 1 | head -5 | tr '\n' ' ')"
fi
if pgrep -u "$uid" >/dev/null; then fail "processes of $user are left: $(pgrep -lu "$uid" | tr '\n' ' ')"; fi
