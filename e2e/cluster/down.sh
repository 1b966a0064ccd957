#!/usr/bin/env bash
# Ends the local cluster and removes everything it made: processes, mounts, cgroups, files.
# What was built or fetched for it stays in the cache.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

if [[ $CLUSTER == current ]]; then
    say "CLUSTER=current: your own cluster is left as it is"
    exit 0
fi
[[ -e $EDGE_CLUSTER_DIR || -n $(cgroup_processes "$INSTANCE") ]] || { say "the cluster is not running"; exit 0; }
need_root
lock_cluster
end_cluster
rm -rf "$EDGE_CLUSTER_DIR.failed-log"
say "the cluster is down"
