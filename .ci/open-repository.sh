# shellcheck shell=bash
# For scripts that run a test as another user, in a mount namespace of their own or in a guest: sourced, never run. Wants REPO, and STAGE, a directory for its mount points.

# The repository may lie below a directory that only root may enter: that directory is covered, and the repository put back at its place.
open_repository() {
    local above outermost=
    above=$(dirname "$REPO")
    while [ "$above" != / ]; do
        is_open "$above" || outermost=$above
        above=$(dirname "$above")
    done
    if [ -n "$outermost" ]; then
        mkdir -p "$STAGE/repository"
        mount --bind "$REPO" "$STAGE/repository"
        mount -t tmpfs -o mode=0755 tmpfs "$outermost"
        mkdir -p "$REPO"
        mount --bind "$STAGE/repository" "$REPO"
    fi
    if ! is_open "$REPO"; then
        mkdir -p "$STAGE/repository-layer/upper" "$STAGE/repository-layer/work"
        mount -t overlay -o "lowerdir=$REPO,upperdir=$STAGE/repository-layer/upper,workdir=$STAGE/repository-layer/work" overlay "$REPO"
        chmod 0755 "$REPO"
    fi
}

# Whether everybody may enter a directory.
is_open() { [ $((0$(stat -c %a "$1") & 1)) -ne 0 ]; }
