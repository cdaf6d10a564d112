#!/usr/bin/env bash
# Runs the integration tests on Debian's own kernel (6.1, pure cgroup v2, landlock ABI 2), in a virtual machine without KVM: run.sh [smoke|full] [test-name filter]
#
# The guest's root is this file system, read-only, so nothing is installed in it and the tests are built outside. Everything that this script needs it installs
# itself: Debian packages, virtme-ng in a virtual environment, the kernel package, all in a cache directory outside of the repository.
# Environment: VM_TIMEOUT (seconds for the guest), VM_PACKAGES and VM_SUITES (crates; names of tests/tests/*.rs or runtime_sys; both instead of the lists below).
source "$(dirname "${BASH_SOURCE[0]}")/../../.ci/lib.sh"

# The crates whose tests depend on the kernel, and the suites of a smoke run: what a change of the walls or of a job's life would break first. runtime_sys is the
# unit tests of that crate, the others are files of tests/tests. A full run takes every suite.
read -ra PACKAGES <<<"${VM_PACKAGES:-runtime-sys runtime-tests}"
SUITES_SMOKE=(runtime_sys chaos containment limits outcomes run)
# Of those, the tests that a smoke run takes: a pass, a suite and an extended regular expression a line.
SELECTION_SMOKE=tests/vm/smoke.txt
VIRTME_NG=1.42

WHAT=${1:-full}
FILTER=${2:-}
VM_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/runtime-vm
case $WHAT in
    smoke) TIMEOUT=${VM_TIMEOUT:-600} PASSES="rootful rootless" ;;
    full) TIMEOUT=${VM_TIMEOUT:-5400} PASSES="rootful rootless rootful-plain" ;;
    *) fail "run.sh [smoke|full] [test-name filter], not '$WHAT'" ;;
esac

install_lab() {
    need qemu-system-x86_64 qemu-system-x86
    need busybox busybox-static
    need cpio cpio
    need depmod kmod
    need zstd zstd
    need mkfs.ext4 e2fsprogs
    need strip binutils
    mkdir -p "$VM_CACHE"
    if [ ! -e "$VM_CACHE/venv-$VIRTME_NG/complete" ]; then
        need python3 python3
        say "installing virtme-ng $VIRTME_NG into $VM_CACHE"
        rm -rf "$VM_CACHE/venv-$VIRTME_NG"
        python3 -m venv "$VM_CACHE/venv-$VIRTME_NG"
        "$VM_CACHE/venv-$VIRTME_NG/bin/pip" install --quiet --disable-pip-version-check "virtme-ng==$VIRTME_NG"
        # The root is read-only and nobody changes it meanwhile: let the guest cache it. An exec is three times faster so.
        sed -i 's/trans=virtio,access=any,msize=/trans=virtio,access=any,cache=loose,msize=/' "$VM_CACHE/venv-$VIRTME_NG"/lib/python3*/site-packages/virtme/mkinitramfs.py
        touch "$VM_CACHE/venv-$VIRTME_NG/complete"
    fi
    KERNEL=$(find "$VM_CACHE" -maxdepth 3 -path '*/kernel-*/complete' -printf '%h\n' 2>/dev/null | sort | tail -1)
    if [ -z "$KERNEL" ]; then
        apt-get update -qq
        local package
        package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
        [ -n "$package" ] || fail "linux-image-amd64 names no kernel package"
        KERNEL=$VM_CACHE/kernel-${package#linux-image-}
        say "downloading $package into $KERNEL"
        rm -rf "$KERNEL"
        mkdir -p "$KERNEL/root"
        (cd "$KERNEL" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg -x "$package"_*.deb root && rm "$package"_*.deb)
        depmod -b "$KERNEL/root" "${package#linux-image-}"
        touch "$KERNEL/complete"
    fi
    VERSION=$(basename "$KERNEL")
    VERSION=${VERSION#kernel-}
}

work=$(mktemp -d "${TMPDIR:-/tmp}/runtime-vm.XXXXXX")
chmod 0755 "$work"
trap 'rm -rf "$work"' EXIT

install_lab
build_suites "$work" "${PACKAGES[@]}"
if [ -n "${VM_SUITES:-}" ]; then
    read -ra suites <<<"$VM_SUITES"
elif [ "$WHAT" = smoke ]; then
    suites=("${SUITES_SMOKE[@]}")
else
    mapfile -t suites < <(awk '$1 == "suite" && $2 != "runtime_tests" {print $2}' "$work/built" | sort -u)
    for suite in "${SUITES_SMOKE[@]}"; do printf '%s\n' "${suites[@]}" | grep -qx "$suite" || suites+=("$suite"); done
fi

# Copies without debug information: the guest reads them over a slow link, and a build that goes on outside does not change them.
mkdir -p "$work/bin" "$work/results"
: >"$work/suites"
: >"$work/overlay"
while read -r kind name path; do
    copy=$work/bin/$(basename "$path")
    case $kind in
        suite)
            printf '%s\n' "${suites[@]}" | grep -qx "$name" || continue
            strip -g -o "$copy" "$path"
            printf '%s %s\n' "$name" "$copy" >>"$work/suites"
            ;;
        bin)
            strip -g -o "$copy" "$path"
            printf '%s %s\n' "$path" "$copy" >>"$work/overlay"
            ;;
    esac
done <"$work/built"
for suite in "${suites[@]}"; do grep -q "^$suite " "$work/suites" || fail "${PACKAGES[*]} have no test suite named $suite"; done

cp tests/expected-skips/vm-rootful.txt tests/expected-skips/vm-rootless.txt "$work/"
cat >"$work/settings" <<END
REPO=$(printf %q "$REPO")
WORK=$(printf %q "$work")
PASSES="$PASSES"
FILTER=$(printf %q "$FILTER")
TEST_TIMEOUT=240
END
touch "$work/verdicts"
: >"$work/selection"
if [ "$WHAT" = smoke ] && [ -z "$FILTER" ]; then grep -v -e '^#' -e '^$' "$SELECTION_SMOKE" >"$work/selection"; fi
cp tests/vm/inside.sh "$work/inside.sh"

say "booting $VERSION, at most $TIMEOUT s; passes: $PASSES; suites: ${suites[*]}"
started=$SECONDS
# The console loses lines, so the guest writes files; what is on the console is shown only when the guest did not come to its end.
timeout --kill-after=20 "$TIMEOUT" env PATH="$VM_CACHE/venv-$VIRTME_NG/bin:$PATH" \
    vng --run "$KERNEL/root/boot/vmlinuz-$VERSION" --disable-kvm --user root --cpus 2 --memory 3G --rwdir "$work" \
    --exec "bash $work/inside.sh $work >$work/guest.log 2>&1" </dev/null >"$work/console.log" 2>&1 || true # what counts is in $work
say "the guest ran for $((SECONDS - started)) s"

[ ! -e "$work/facts" ] || cat "$work/facts"
passed=0
bad=()
while read -r pass suite test status took; do
    log=$work/results/$pass.$suite.${test//::/.}.log
    case $pass in rootless*) list=$work/vm-rootless.txt ;; *) list=$work/vm-rootful.txt ;; esac
    unexpected=$(unexpected_skips "$log" "$list")
    verdict=ok
    if [ "$status" != 0 ] || [ -n "$unexpected" ]; then
        verdict="FAILED with status $status"
        bad+=("$pass · $suite · $test${unexpected:+ (skips, and is not in tests/expected-skips)}")
    elif skips "$log" | grep -q .; then
        verdict="skipped, as expected"
    else
        passed=$((passed + 1))
    fi
    printf '   %-13s %-12s %4d s  %s ... %s\n' "$pass" "$suite" "$took" "$test" "$verdict"
    [ "$status" = 0 ] || tail -60 "$log"
done <"$work/verdicts"
if [ ! -e "$work/done" ]; then
    tail -20 "$work/console.log"
    tail -20 "$work/guest.log" || true
    fail "the guest did not come to its end (did $TIMEOUT s pass?)"
fi
say "on $VERSION: $passed passed, ${#bad[@]} failed"
[ ${#bad[@]} -eq 0 ] || { printf '   %s\n' "${bad[@]}"; fail "tests fail, or skip unexpectedly, on $VERSION"; }
[ "$passed" -gt 0 ] || fail "no test ran on $VERSION"
