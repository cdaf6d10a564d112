#!/usr/bin/env bash
# Runs every fuzz target for a bounded time: fuzz.sh [seconds per target] [target…]. A crash, a hang or too few runs fail.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SECONDS_EACH=${1:-40}
shift || true
TARGETS=("$@")
[ ${#TARGETS[@]} -gt 0 ] || TARGETS=(profile_toml link_message proto_spec log_index)
RUNS_MIN=1000 # fewer in the time means that the target does nothing useful, or hangs

need g++ g++
need_tools
for target in "${TARGETS[@]}"; do must_exist "fuzz/fuzz_targets/$target.rs" "the source of a fuzz target"; done
for source in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    grep -q "^name = \"$name\"" fuzz/Cargo.toml || fail "$source is not a target of fuzz/Cargo.toml"
done

# Coverage instrumentation is an unstable flag; RUSTC_BOOTSTRAP lets the stable compiler take it. No address sanitizer: the targets are safe Rust.
export RUSTC_BOOTSTRAP=1
for target in "${TARGETS[@]}"; do cargo fuzz build --sanitizer none "$target"; done

# profile_toml takes one of our files behind a byte that says what it is: 0 a profile, 1 a set of system calls, 2 a policy.
seeds_of_profile_toml() {
    local kind=0 file
    for pattern in 'sandbox-profiles/*.toml' 'sandbox-profiles/syscalls/*.toml' 'policies/*.toml'; do
        for file in $pattern; do
            must_exist "$file" "a seed of profile_toml"
            { printf "\\x0$kind" && cat "$file"; } >"$1/$kind-$(basename "$file")"
        done
        kind=$((kind + 1))
    done
}

work=$(mktemp -d "${TMPDIR:-/tmp}/runtime-fuzz.XXXXXX")
trap 'rm -rf "$work"' EXIT
for target in "${TARGETS[@]}"; do
    seeds=()
    [ -d "fuzz/seeds/$target" ] && seeds+=("fuzz/seeds/$target")
    mkdir -p "$work/$target/corpus" "$work/$target/artifacts" "$work/$target/seeds"
    if [ "$target" = profile_toml ]; then
        seeds_of_profile_toml "$work/$target/seeds"
        seeds+=("$work/$target/seeds")
    fi
    say "fuzzing $target for $SECONDS_EACH s, seeds: ${seeds[*]:-none}"
    log=$work/$target/log
    if ! cargo fuzz run --sanitizer none "$target" "$work/$target/corpus" "${seeds[@]}" -- \
        -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/$target/artifacts/" >"$log" 2>&1; then
        tail -60 "$log"
        for file in "$work/$target/artifacts"/*; do
            [ -f "$file" ] && say "the input that did it, base64: $(base64 -w0 "$file" | head -c 4000)"
        done
        fail "fuzz target $target"
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
    [ "${runs:-0}" -ge "$RUNS_MIN" ] || { tail -30 "$log"; fail "$target ran ${runs:-0} inputs in $SECONDS_EACH s, fewer than $RUNS_MIN"; }
    say "$target: $runs inputs, ${coverage:-no coverage seen}, nothing found"
done
