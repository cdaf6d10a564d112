#!/usr/bin/env bash
# Runs in the guest, as root: inside.sh WORK. Prepares it and runs every suite in every pass; writes WORK/results/*.log, WORK/facts and, at the very end, WORK/done.
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
    mkdir -p /sys/fs/cgroup/delegated/tests
    echo "+memory +pids +cpu +io" >/sys/fs/cgroup/delegated/cgroup.subtree_control
    chown "$USER_ID:$USER_ID" /sys/fs/cgroup/delegated /sys/fs/cgroup/delegated/tests /sys/fs/cgroup/delegated/{,tests/}cgroup.{procs,threads,subtree_control}
}

make_user() {
    echo "tester:x:$USER_ID:$USER_ID::/run/home-tester:/bin/sh" >>/etc/passwd
    echo "tester:x:$USER_ID:" >>/etc/group
    install -d -o "$USER_ID" -g "$USER_ID" -m 0700 /run/home-tester "/run/user/$USER_ID"
}

# run_suite PASS SUITE BINARY: one suite in one pass; prints `PASS SUITE STATUS`.
run_suite() {
    local pass=$1 suite=$2 binary=$3 tmp=/mnt/tmp status=0
    local log=$WORK/results/$pass-$suite.log
    local -a as=(env) arguments=(--test-threads=2 --show-output)
    case $pass in *-plain) tmp=/tmp ;; esac
    case $pass in
        rootless*)
            as=(setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups --inh-caps=-all env
                HOME=/run/home-tester USER=tester XDG_RUNTIME_DIR="/run/user/$USER_ID" PATH=/usr/local/bin:/usr/bin:/bin)
            ;;
    esac
    [ -z "$FILTER" ] || arguments+=("$FILTER")
    (
        case $pass in rootless*) echo $BASHPID >/sys/fs/cgroup/delegated/tests/cgroup.procs ;; esac
        cd "$REPO/tests"
        exec "${as[@]}" TMPDIR="$tmp" CARGO_MANIFEST_DIR="$REPO/tests" \
            RUNTIME_TESTS_MUST_RUN=1 RUNTIME_TESTS_EXPECTED_SKIPS="$WORK/vm-${pass%-plain}.txt" \
            timeout --kill-after=20 "$PASS_TIMEOUT" "$binary" "${arguments[@]}"
    ) </dev/null >"$log" 2>&1 || status=$?
    printf '%s %s %s\n' "$pass" "$suite" "$status"
}

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
        run_suite "$pass" "$suite" "$binary" >>"$WORK/finished"
    done <"$WORK/suites"
    say "pass $pass is through"
done
mkdir -p "$WORK/results"
status=0
bash "$REPO/.ci/leftovers.sh" check /run/before >"$WORK/results/all-leftovers.log" 2>&1 || status=$?
echo "all leftovers $status" >>"$WORK/finished"
cat "$WORK/finished"
mv "$WORK/finished" "$WORK/done"
