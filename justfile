# What one can do here. Each recipe is a plain script, which also runs without just: look at the right-hand side.

# List the recipes.
default:
    @just --list

# Run a program in a sandbox: just run python3 -c 'print(1)'
run *COMMAND:
    cargo run --release -- run -- {{COMMAND}}

# Build the release binary and show that it holds no test switch.
build:
    bash .ci/release.sh

# Format, clippy with warnings as errors, and the borders between the crates.
lint:
    bash .ci/lint.sh

# Put the code into the house format.
fmt:
    cargo fmt --all

# The whole test suite; arguments go to the test runner.
test *ARGS:
    bash .ci/test.sh {{ARGS}}

# As root: the tests that depend on the kernel, as a fresh ordinary user.
test-user *SUITES:
    bash .ci/test-user.sh {{SUITES}}

# The tests on Debian's kernel with pure cgroup v2, in a virtual machine: just vm, or just vm smoke
vm WHAT="full":
    bash tests/vm/run.sh {{WHAT}}

# Every fuzz target for so many seconds: just fuzz 300, or just fuzz 300 profile_toml
fuzz SECONDS="40" *TARGETS:
    bash .ci/fuzz.sh {{SECONDS}} {{TARGETS}}

# Ratios against posix_spawn and bubblewrap.
bench *ARGS:
    bash .ci/bench.sh {{ARGS}}

# The API documentation, warnings as errors.
doc:
    bash .ci/doc.sh

# Lint the proto files and look for breaking changes.
proto:
    bash .ci/proto.sh

# Licences, bans, sources, advisories.
deny:
    bash .ci/deny.sh

# The README's first command, as root and as a fresh user.
first-command:
    bash .ci/first-command.sh

# Hundreds of jobs of all kinds while the server is killed a hundred times; repeat one with RUNTIME_CHAOS_SEED=N.
chaos JOBS="400" KILLS="120":
    RUNTIME_CHAOS_JOBS={{JOBS}} RUNTIME_CHAOS_KILLS={{KILLS}} cargo nextest run -p runtime-tests --test chaos --retries 0 --success-output final storm

# Everything that a change must pass.
ci:
    bash .ci/run
