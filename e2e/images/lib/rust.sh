# shellcheck shell=bash
# Builds static Rust programs. Sourced by the build-*.sh scripts after archive.sh, never run.

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)

# build_static CARGO_ARGUMENT…: builds without a libc to load, and prints the folder in which the programs are.
build_static() {
    local profile=${PROFILE:-release} target
    target=$(uname -m)-unknown-linux-musl
    command -v cargo >/dev/null || die "'cargo' is missing: install Rust with rustup (https://rustup.rs)"
    # The C parts of the crypto library are compiled by this.
    require musl-gcc musl-tools
    # Also where no rustup is: then the toolchain has the target, or cargo says that it has not.
    ! command -v rustup >/dev/null || (cd "$REPOSITORY" && rustup --quiet target add "$target" >&2)
    (cd "$REPOSITORY" && cargo build --locked --quiet --profile "$profile" --target "$target" "$@" >&2) ||
        die "the programs could not be built"
    local folder=$profile
    [[ $profile != dev ]] || folder=debug
    printf '%s/%s/%s' "${CARGO_TARGET_DIR:-$REPOSITORY/target}" "$target" "$folder"
}
