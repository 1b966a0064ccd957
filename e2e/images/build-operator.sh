#!/usr/bin/env bash
# Builds controller, hub and sidecar as static programs, and packs them into the one image that all pods of ours use.
#
#   build-operator.sh [OUTPUT [NAME:TAG]]        ($EDGE_CACHE/images/edge-operator.tar, edge-operator:dev)
#
# PROFILE=fast builds without link-time optimisation, for work on the cluster tests; the default is release.
# The image holds /edge-controller, /edge-hub and /edge-workload, and nothing that runs besides. Cargo decides what has to be
# built again, and the image keeps its digest as long as the programs are the same.
set -euo pipefail
# shellcheck source=lib/archive.sh
source "$(dirname "$0")/lib/archive.sh"
# shellcheck source=lib/rust.sh
source "$(dirname "$0")/lib/rust.sh"

output=${1:-$(image_cache)/edge-operator.tar} name=${2:-edge-operator:dev}
check_name "$name"
programs=(edge-controller edge-hub edge-workload)
folder=$(build_static -p edge-controller -p edge-hub --bin edge-controller --bin edge-hub --bin edge-workload)

files=()
for program in "${programs[@]}"; do files+=("$folder/$program"); done
cached=$(image_cache)/operator-$(content_key "${files[@]}" "$0" "$(dirname "$0")/lib/archive.sh" "$name").tar
if [[ ! -f $cached ]]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    umask 022
    mkdir -p "$work/root/tmp"
    chmod 1777 "$work/root/tmp"
    install -m 0755 "${files[@]}" "$work/root/"
    write_users "$work/root"
    reproducible_tar "$work/root" "$work/layer.tar"
    # One image of ours is kept in the cache: each edit makes another.
    find "$(image_cache)" -maxdepth 1 -name 'operator-*.tar' -delete
    write_image "$cached" "$name" '"User":"65532:65532","WorkingDir":"/","Env":["PATH=/"]' "$work/layer.tar"
fi
publish "$cached" "$output"
say "$name is in $output ($(($(stat -c %s "$output") / 1024 / 1024)) MB)"
