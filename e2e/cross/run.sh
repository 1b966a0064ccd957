#!/usr/bin/env bash
# Builds hub and sidecar for other processors, and shows that they are what they should be (make cross):
#
#   aarch64  against musl, as the image has them on x86
#   armv7    against glibc, linked into the program: a 32-bit machine, and the target of Rust for it that Debian has a compiler for
#
# Checks each program with readelf (its machine, and that it loads no library), starts it under an emulator, and runs the tests of
# the store on 32 bits. Debian's cross compilers, the emulator and Rust's targets are installed where they are missing.
#
# PROFILE=fast builds without link-time optimisation. CARGO_TARGET_DIR is make's.
set -euo pipefail
# shellcheck source=../images/lib/archive.sh
source "$(dirname "$0")/../images/lib/archive.sh"

REPOSITORY=$(cd "$(dirname "$0")/../.." && pwd)
cd "$REPOSITORY"
PROFILE=${PROFILE:-release}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$REPOSITORY/target}
# What went wrong is in the messages.
export RUST_BACKTRACE=0
PROGRAMS=(edge-hub edge-workload)
# Shut a file system down without a flush, and run themselves again outside of it: calls that an emulator does not know. They say
# nothing about the width of numbers, and run on the machine itself in `make test`.
NOT_EMULATED=(power_cut_ext4)

AARCH64=aarch64-unknown-linux-musl
ARMV7=armv7-unknown-linux-gnueabihf
STEPS=7
step=0
begin() { say "[$((++step))/$STEPS] $*"; }

# Cargo asks for the linker of a target and cc for its compiler by names of the environment. Hardening that some distributions switch
# on by default calls functions of glibc, which musl does not have.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_musl=aarch64-linux-gnu-gcc
export CFLAGS_aarch64_unknown_linux_musl='-U_FORTIFY_SOURCE -fno-stack-protector'
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUSTFLAGS='-C target-feature=+crt-static'
export CC_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-gcc

# emulator ARCHITECTURE: its program, which has another name in the package of static ones.
emulator() { command -v "qemu-$1" || command -v "qemu-$1-static"; }

install_packages() {
    local missing=()
    command -v aarch64-linux-gnu-gcc >/dev/null || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
    command -v arm-linux-gnueabihf-gcc >/dev/null || missing+=(gcc-arm-linux-gnueabihf)
    [[ -e /usr/arm-linux-gnueabihf/lib/libc.a ]] || missing+=(libc6-dev-armhf-cross)
    emulator arm >/dev/null && emulator aarch64 >/dev/null || missing+=(qemu-user)
    ((${#missing[@]} > 0)) || return 0
    ((EUID == 0)) || die "these packages are missing; install them as root: apt-get install ${missing[*]}"
    say "    installing ${missing[*]}"
    local log
    install_them() { log=$(DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes install --no-install-recommends --no-remove "${missing[@]}" 2>&1); }
    # A fresh machine has no lists yet, and old lists name versions that are gone.
    install_them || { apt-get --quiet update >/dev/null 2>&1 && install_them; } ||
        die "apt-get could not install ${missing[*]}: $(tail -n 5 <<<"$log")"
}

install_targets() {
    command -v cargo >/dev/null || die "'cargo' is missing: install Rust with rustup (https://rustup.rs)"
    # Also where no rustup is: then the toolchain has the targets, or cargo says that it has not.
    ! command -v rustup >/dev/null || rustup --quiet target add "$AARCH64" "$ARMV7" >&2
}

# build TARGET
build() {
    cargo build --locked --quiet --profile "$PROFILE" --target "$1" -p edge-hub --bin edge-hub --bin edge-workload ||
        die "the programs could not be built for $1"
}

# folder TARGET: where its programs are.
folder() {
    local profile=$PROFILE
    [[ $profile != dev ]] || profile=debug
    printf '%s/%s/%s' "$CARGO_TARGET_DIR" "$1" "$profile"
}

# check TARGET MACHINE ARCHITECTURE: MACHINE as readelf names it, ARCHITECTURE as the emulator does.
check() {
    local program file machine run output
    run=$(emulator "$3") || die "there is no qemu-$3"
    for program in "${PROGRAMS[@]}"; do
        file=$(folder "$1")/$program
        [[ -f $file ]] || die "$file was not built"
        machine=$(LC_ALL=C readelf --file-header "$file" | sed -n 's/^ *Machine: *//p')
        [[ $machine == "$2" ]] || die "$file is for $machine, not for $2"
        ! LC_ALL=C readelf --program-headers --wide "$file" | grep -q 'INTERP' || die "$file asks for a loader: it is not static"
        ! LC_ALL=C readelf --dynamic --wide "$file" | grep -q '(NEEDED)' || die "$file asks for libraries: it is not static"
        output=$("$run" "$file" --version) || die "$file does not start on $3"
        [[ $output == "$program "* ]] || die "$file says '$output' when asked for its version"
        say "    $program: $machine, static, $(($(stat -c %s "$file") / 1000)) kB, says '$output'"
    done
}

# The tests of the store, each file for itself so that one sees where it is.
store_tests() {
    local file name
    CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER=$(emulator arm)
    export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER
    one() {
        local log begun=$SECONDS
        log=$(cargo test --locked --profile "$TEST_PROFILE" --target "$ARMV7" -p edge-store "${@:2}" 2>&1) ||
            die "$1 fails on 32 bits: $(tail -n 40 <<<"$log")"
        passed=$(awk '/^test result: ok\./ { sum += $4 } END { print sum + 0 }' <<<"$log")
        ((passed > 0)) || die "$1 has no tests on 32 bits"
        total=$((total + passed))
        say "    $1: $passed passed, $((SECONDS - begun)) s"
    }
    local passed total=0
    one "inside the crate" --lib
    for file in hub/store/tests/*.rs; do
        name=$(basename "$file" .rs)
        if [[ " ${NOT_EMULATED[*]} " == *" $name "* ]]; then
            say "    $name: not under an emulator; see NOT_EMULATED"
            continue
        fi
        one "$name" --test "$name"
    done
    say "    $total tests of the store passed on 32 bits"
}

begin "compilers, emulator and Rust's targets"
install_packages
install_targets
begin "building for $AARCH64"
build "$AARCH64"
begin "looking at it"
check "$AARCH64" AArch64 aarch64
begin "building for $ARMV7"
build "$ARMV7"
begin "looking at it"
check "$ARMV7" ARM arm
# Checks of arithmetic are worth more here than speed is.
TEST_PROFILE=dev
begin "building the tests of the store for $ARMV7"
cargo test --locked --quiet --profile "$TEST_PROFILE" --target "$ARMV7" -p edge-store --no-run || die "the tests could not be built"
begin "running them under an emulator"
store_tests
say "hub and sidecar are static for aarch64 and armv7, and the store works on 32 bits"
