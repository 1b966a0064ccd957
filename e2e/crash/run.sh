#!/usr/bin/env bash
# Kills a hub at every named place of its work, under load, and looks for what was acknowledged and is gone (make test-crash).
#
#   run.sh [ARGUMENT…]       arguments go to the rig; `run.sh --help` lists them
#
# Then once more with a hub that acknowledges too early, which the rig has to notice. EDGE_CRASH_FOLDER: where to run
# ($EDGE_CACHE/crash).
set -euo pipefail
REPOSITORY=$(cd "$(dirname "$0")/../.." && pwd)
base=${EDGE_CRASH_FOLDER:-${EDGE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/edge-operator}/crash}
mkdir -p "$base"
cd "$REPOSITORY"
target=${CARGO_TARGET_DIR:-$REPOSITORY/target}
cargo build --locked --quiet --package edge-crash
# Last: both write a hub's library, and this one's is the hub that is killed.
cargo build --locked --quiet --package edge-hub --features failpoints --bin edge-hub

rig() { "$target/debug/edge-crash" --hub "$target/debug/edge-hub" --folder "$base" "$@"; }

rig "$@"
[[ $# -eq 0 ]] || exit 0
echo "the same with a hub that acknowledges before anything is written: this has to be noticed"
if rig --only append --hits 100 --kills 100 --sabotage ack-early; then
    echo "error: messages that were acknowledged too early were not missed"
    exit 1
fi
echo "it was noticed"
