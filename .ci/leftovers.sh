#!/usr/bin/env bash
# Nothing of ours may be left on the host: leftovers.sh snapshot FILE before, leftovers.sh check FILE after.
#
# Looked at: processes, cgroups, mounts, namespaces, loop devices, System V IPC, files in /tmp, /dev/shm and /run/runtime.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

UID_BASE=1879048192 # the first uid that jobs and servers get by default (0x70000000)

# Prints one line for each thing that could be ours. Sorted, so that two lists can be compared.
list() {
    # A process whose program is one of ours, or that runs under a uid of ours. One find: a fork for each process takes minutes in an emulated guest.
    find /proc -mindepth 2 -maxdepth 2 -path '/proc/[0-9]*' -name exe -printf '%h\t%U\t%l\n' 2>/dev/null |
        awk -F '\t' -v base="$UID_BASE" '{program = $3; sub(/ \(deleted\)$/, "", program); sub(/.*\//, "", program)}
            program ~ /^(runtime|runtime-.*|probe)$/ || ($2 >= base && $2 < 4294967294) {print "process " $1 " uid " $2 " " $3}' || true
    # Every cgroup below a directory named runtime; that directory itself may stay.
    find /sys/fs/cgroup -mindepth 2 -type d -path '*/runtime/*' -printf 'cgroup %p\n' 2>/dev/null || true
    awk '{print "mount " $5 " " $3}' /proc/self/mountinfo
    # Namespaces that live through a process of ours are processes; these live through a bind mount or a file of their own.
    find /run/netns -mindepth 1 -printf 'netns %p\n' 2>/dev/null || true
    # One whose process is dead and only waits for its new parent to look is that parent's matter: the first process of a small guest does not look.
    lsns --noheadings --output TYPE,NS,PID,COMMAND 2>/dev/null | while read -r type number pid command; do
        case $command in *runtime* | *probe*) ;; *) continue ;; esac
        grep -qs '^State:[[:space:]]*Z' "/proc/$pid/status" || printf 'namespace %s %s %s\n' "$type" "$number" "$command"
    done
    losetup --list --noheadings --output NAME,BACK-FILE 2>/dev/null | sed 's/^/loop /' || true
    awk 'FNR > 1 {print "sysvipc " FILENAME " " $2}' /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg 2>/dev/null || true
    find /tmp /dev/shm -mindepth 1 -maxdepth 1 \( -name 'runtime*' -o -name '.tmp*' -o -uid +$((UID_BASE - 1)) \) -printf 'file %p\n' 2>/dev/null || true
    # Sockets, instance directories and anything else that is not a lock: locks are empty files, kept on purpose.
    find /run/runtime -mindepth 1 -not -type d -not \( -type f -size 0 \) -printf 'file %p\n' 2>/dev/null || true
    find /run/runtime/instances -mindepth 1 -maxdepth 1 -printf 'file %p\n' 2>/dev/null || true
}

file=${2:?a file for the list}
case ${1:-} in
    snapshot)
        list | sort -u >"$file"
        say "$(wc -l <"$file") things that were here before us"
        ;;
    check)
        must_exist "$file" "the snapshot from before"
        new=
        # What is being torn down gets a moment.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            new=$(list | sort -u | comm -13 "$file" -)
            [ -n "$new" ] || break
            sleep 1
        done
        [ -z "$new" ] || { printf '%s\n' "$new"; fail "left behind on this host"; }
        say "nothing was left behind"
        ;;
    *) fail "leftovers.sh snapshot FILE, or leftovers.sh check FILE" ;;
esac
