#!/usr/bin/env bash
# Measures the hub as it ships: the static release build, on loopback, on the disk that EDGE_BENCH_FOLDER is on.
#
#   run.sh hub [ARGUMENT…]       rates and latencies beside mosquitto      (make bench-hub)
#   run.sh memory [ARGUMENT…]    resident memory, time to start            (make bench-memory)
#   run.sh disk [ARGUMENT…]      bytes written to the block device         (make bench-disk; needs root for a loop device)
#
# Arguments go to the measuring program; `run.sh hub --help` lists them. Exit code 1: a target was missed; 2: no figures.
# EDGE_BENCH_FOLDER   where to measure ($EDGE_CACHE/bench); for memory 4 GB are needed, for disk 3 GB
# PROFILE=fast        a quicker build, for work on the bench itself
set -euo pipefail
# shellcheck source=../images/lib/archive.sh
source "$(dirname "$0")/../images/lib/archive.sh"
# shellcheck source=../images/lib/rust.sh
source "$(dirname "$0")/../images/lib/rust.sh"

what=${1:-}
case $what in hub | memory | disk) shift ;; *) die "which measurement? run.sh hub|memory|disk [ARGUMENT…]" ;; esac

base=${EDGE_BENCH_FOLDER:-${EDGE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/edge-operator}/bench}
mkdir -p "$base"
programs=$(build_static -p edge-hub -p edge-bench --bin edge-hub --bin edge-bench)

# machine: what was measured on, for whoever compares.
machine() {
    local model
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    say "$(nproc) processors ($model), Linux $(uname -r), $(df --output=fstype "$base" | tail -n 1) on $(df --output=source "$base" | tail -n 1)"
}

# on_a_loop_device ARGUMENT…: measures on an ext4 of its own, whose device nobody else writes to.
on_a_loop_device() {
    ((EUID == 0)) || die "bench-disk makes a loop device: it needs root"
    require mkfs.ext4 e2fsprogs
    require losetup mount
    work=$(mktemp -d "$base/disk-XXXXXX")
    trap clean_up EXIT
    truncate -s 3G "$work/image"
    device=$(losetup --find --show "$work/image")
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$device"
    mkdir "$work/mount"
    mount "$device" "$work/mount"
    mounted=yes
    "$programs/edge-bench" disk --hub "$programs/edge-hub" --folder "$work/mount" \
        --counter "/sys/block/${device##*/}/stat" "$@"
}

work='' device='' mounted=''
clean_up() {
    [[ -z $mounted ]] || umount "$work/mount"
    [[ -z $device ]] || losetup --detach "$device"
    rm -rf "$work"
}

machine
case $what in
hub)
    require mosquitto mosquitto
    "$programs/edge-bench" hub --hub "$programs/edge-hub" --mosquitto "$(command -v mosquitto)" --folder "$base" "$@"
    ;;
memory) "$programs/edge-bench" memory --hub "$programs/edge-hub" --folder "$base" "$@" ;;
disk) on_a_loop_device "$@" ;;
esac
