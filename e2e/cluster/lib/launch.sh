#!/usr/bin/env bash
# Becomes the process that holds the cluster's namespaces. Started by up.sh, in the
# background; its process id stays the same from here to `unshare`, and is the handle
# on the cluster: when it dies, the kernel kills everything inside.
set -euo pipefail
# shellcheck source=env.sh
source "$(dirname "$0")/env.sh"
# shellcheck source=instance.sh
source "$(dirname "$0")/instance.sh"

if [[ ${1:-} != in-cgroup-namespace ]]; then
    # What the caller had open (a pipe of make, a lock of up.sh) must not stay open as long as the cluster runs.
    for descriptor in /proc/self/fd/*; do
        descriptor=${descriptor##*/}
        # 255 is the script itself, which bash closes.
        ((descriptor <= 2 || descriptor == 255)) || eval "exec $descriptor>&-"
    done
    echo "$$ $(started_at "$$")" >"$EDGE_CLUSTER_DIR/pid"
    join_cgroup "$INSTANCE"
    # The cgroup of this moment becomes the root of the new namespace.
    exec unshare --cgroup -- "$0" in-cgroup-namespace
fi

join_cgroup "$INSTANCE/init"
# The one thing the inside keeps of the outside: its network, for the API's port on 127.0.0.1.
exec 9</proc/self/ns/net
export OUTSIDE_STATE=$EDGE_CLUSTER_DIR OUTSIDE_SCRIPTS=$CLUSTER_SCRIPTS OUTSIDE_TOOLS=$EDGE_CACHE/tools
TOOL_PATH=
for family in "${TOOL_FAMILIES[@]}"; do
    TOOL_PATH+=${TOOL_PATH:+:}/run/edge/tools/$family-$(family_version "$family")
done
export TOOL_PATH
exec unshare --net --mount --pid --uts --ipc --fork --kill-child --mount-proc -- \
    catatonit -- "$CLUSTER_SCRIPTS/inside/main.sh"
