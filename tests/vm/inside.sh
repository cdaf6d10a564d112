#!/usr/bin/env bash
# Runs in the guest, as root: inside.sh WORK. Prepares it and runs the tests of every suite in every pass; writes
# WORK/facts, WORK/verdicts, WORK/results/*.log and, at the very end, WORK/done.
set -euo pipefail

source "$1/settings"
source "$REPO/.ci/open-repository.sh"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root
STAGE=/run
USER_ID=12345 # the ordinary user of the rootless passes

say() { printf -- '-- %s\n' "$*"; }

# What this host is, and what it must be: a run on the wrong kernel would prove nothing.
facts() {
    say "kernel $(uname -r), lsm $(cat /sys/kernel/security/lsm)"
    say "cgroup v2 controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
    say "landlock ABI: $(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')"
    grep -q landlock /sys/kernel/security/lsm
    [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]
    for controller in memory pids cpu io; do grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers; done
}

# An ext4 that can be idmapped, on a loop device, for state directories and for directories that are shared with a job.
make_ext4() {
    modprobe loop
    modprobe ext4
    truncate -s 768M /run/ext4.img
    mkfs.ext4 -q -O project,quota /run/ext4.img
    mount -o loop /run/ext4.img /mnt
    mkdir -m 1777 /mnt/tmp
    mkdir -m 0755 /mnt/state
    mkdir -p /var/lib/runtime
    mount --bind /mnt/state /var/lib/runtime
}

# Controllers for everybody below the root, and a subtree that belongs to the ordinary user, as a service manager delegates one.
make_cgroups() {
    echo "+memory +pids +cpu +io" >/sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/delegated
    echo "+memory +pids +cpu +io" >/sys/fs/cgroup/delegated/cgroup.subtree_control
    hand_over /sys/fs/cgroup/delegated
}

# A group for the ordinary user to do with as it likes.
hand_over() { chown "$USER_ID:$USER_ID" "$1" "$1"/cgroup.{procs,threads,subtree_control}; }

make_user() {
    echo "tester:x:$USER_ID:$USER_ID::/run/home-tester:/bin/sh" >>/etc/passwd
    echo "tester:x:$USER_ID:" >>/etc/group
    install -d -o "$USER_ID" -g "$USER_ID" -m 0700 /run/home-tester "/run/user/$USER_ID"
}

# tests_of PASS SUITE BINARY: the names of the tests to run. Stories come in pairs, named for who runs them, and the root's half needs root.
tests_of() {
    local names chosen
    names=$("$3" --list --format terse | sed -n 's/: test$//p')
    case $1 in rootless*) names=$(grep -vE '(^|::|_)rootful(::|$)' <<<"$names" || true) ;; esac
    if [ -n "$FILTER" ]; then names=$(grep -F -- "$FILTER" <<<"$names" || true); fi
    if [ -s "$WORK/selection" ]; then
        chosen=$(awk -v pass="$1" -v suite="$2" '$1 == pass && $2 == suite {print $3}' "$WORK/selection")
        [ -n "$chosen" ] || return 0
        names=$(grep -E -f <(printf '%s\n' "$chosen") <<<"$names" || true)
    fi
    printf '%s' "$names"
}

# run_test PASS SUITE BINARY TEST: one test in a process of its own; adds `PASS SUITE TEST STATUS SECONDS` to WORK/verdicts and keeps its output.
run_test() {
    local pass=$1 suite=$2 binary=$3 test=$4 tmp=/mnt/tmp status=0 started group=""
    local log=$WORK/results/$pass.$suite.${test//::/.}.log
    local -a as=(env)
    started=$(date +%s)
    case $pass in *-plain) tmp=/tmp ;; esac
    case $pass in
        rootless*)
            # One for each test: the first daemon in a group turns it into an inner node, which nobody else may enter.
            group=$(mktemp -d /sys/fs/cgroup/delegated/test.XXXXXX)
            hand_over "$group"
            as=(setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --inh-caps=-all env
                HOME=/run/home-tester USER=tester XDG_RUNTIME_DIR="/run/user/$USER_ID" PATH=/usr/local/bin:/usr/bin:/bin)
            ;;
    esac
    (
        [ -z "$group" ] || echo "$BASHPID" >"$group/cgroup.procs"
        cd "$REPO/tests"
        exec "${as[@]}" TMPDIR="$tmp" CARGO_MANIFEST_DIR="$REPO/tests" \
            RUNTIME_TESTS_MUST_RUN=1 RUNTIME_TESTS_EXPECTED_SKIPS="$WORK/vm-${pass%-plain}.txt" \
            timeout --kill-after=20 "$TEST_TIMEOUT" "$binary" --exact "$test" --show-output
    ) </dev/null >"$log" 2>&1 || status=$?
    # What a test leaves in its group holds no process any more, or the check for leftovers finds that process.
    [ -z "$group" ] || find "$group" -depth -type d -exec rmdir {} \; || true
    grep -q '^test result: ok. 1 passed' "$log" || [ "$status" != 0 ] || status=no-result
    printf '%s %s %s %s %s\n' "$pass" "$suite" "$test" "$status" "$(($(date +%s) - started))" >>"$WORK/verdicts"
}
export -f run_test hand_over
export WORK REPO USER_ID TEST_TIMEOUT

facts >"$WORK/facts"
modprobe overlay
make_ext4
make_cgroups
make_user
open_repository
while read -r path copy; do mount --bind "$copy" "$path"; done <"$WORK/overlay"
bash "$REPO/.ci/leftovers.sh" snapshot /run/before

for pass in $PASSES; do
    case $pass in *-plain) umount /var/lib/runtime && umount /mnt ;; esac
    while read -r suite binary; do
        tests_of "$pass" "$suite" "$binary" | tr '\n' '\0' |
            xargs -0 -r -P 2 -n 1 bash -euo pipefail -c 'run_test "$@"' bash "$pass" "$suite" "$binary"
    done <"$WORK/suites"
    say "pass $pass is through after $SECONDS s"
done
status=0
bash "$REPO/.ci/leftovers.sh" check /run/before >"$WORK/results/all.host.leftovers.log" 2>&1 || status=$?
echo "all host leftovers $status 0" >>"$WORK/verdicts"
touch "$WORK/done"
