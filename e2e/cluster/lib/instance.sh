# shellcheck shell=bash
# One cluster, seen from outside: is it there, where is it, how to go in, how to end it.
# Sourced by the scripts that people call, after env.sh; never run.

# shellcheck source=addresses.sh
source "$CLUSTER_SCRIPTS/lib/addresses.sh"
# shellcheck source=cgroup.sh
source "$CLUSTER_SCRIPTS/lib/cgroup.sh"

# How long processes of a killed cluster may take to disappear, in seconds.
ENDING_SECONDS=30
MARKER=.edge-operator-cluster

# Two clusters (two EDGE_CLUSTER_DIRs) on one machine share nothing, not even this name.
INSTANCE=edge-cluster-$(printf '%s' "$EDGE_CLUSTER_DIR" | sha256sum | cut -c1-8)

# started_at PID: when the process began, in clock ticks; with it a recycled process id is told from the original.
# Fails for one that has ended, even if nobody has collected it yet.
started_at() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return
    # The second field is the command in parentheses and may contain spaces: count from after it.
    stat=${stat##*) }
    # shellcheck disable=SC2086  # split on purpose
    set -- $stat
    [[ $1 != [ZX] ]] || return
    printf '%s' "${20}"
}

# cluster_pid: the process that holds the cluster's namespaces; fails when there is none.
cluster_pid() {
    local pid ticks
    { read -r pid ticks <"$EDGE_CLUSTER_DIR/pid"; } 2>/dev/null || return
    [[ $(started_at "$pid") == "$ticks" ]] || return
    printf '%s' "$pid"
}

# is_up: does it run, and did it get ready?
is_up() {
    [[ -e $EDGE_CLUSTER_DIR/ready ]] && cluster_pid >/dev/null
}

# need_up: for scripts that make no sense otherwise.
need_up() {
    is_up || die "the local cluster is not running; start it with 'make cluster-up' (state: $EDGE_CLUSTER_DIR)"
}

# need_local WHAT: for scripts that reach into the node.
need_local() {
    [[ $CLUSTER == local ]] || die "$1 works on the local cluster only, and CLUSTER is '$CLUSTER'"
}

# need_root: namespaces, mounts and cgroups are root's.
need_root() {
    ((EUID == 0)) || die "the local cluster needs root (for namespaces, mounts and cgroups); with CLUSTER=current your own is used"
}

# in_cluster OPTION… -- COMMAND…: runs a command in the cluster's namespaces; options are nsenter's.
in_cluster() {
    local pid
    pid=$(cluster_pid) || die "the local cluster is not running"
    nsenter --target "$pid" "$@"
}

# enter_node COMMAND…: in all namespaces of the node, with its programs in PATH.
enter_node() {
    local pid family path=
    pid=$(cluster_pid) || die "the local cluster is not running"
    for family in "${TOOL_FAMILIES[@]}"; do
        path+=/run/edge/tools/$family-$(family_version "$family"):
    done
    # The holder of the namespaces is itself not in the new process namespace; its children are.
    nsenter --target "$pid" --net --mount --uts --ipc --cgroup --pid="/proc/$pid/ns/pid_for_children" -- \
        env PATH="$path$PATH" KUBECONFIG=/run/edge/state/admin.kubeconfig \
        CONTAINERD_ADDRESS=/run/containerd/containerd.sock "$@"
}

# lock_cluster: one up or down at a time. Held on descriptor 7 until this script ends.
lock_cluster() {
    mkdir -p "$EDGE_CACHE/locks"
    exec 7>"$EDGE_CACHE/locks/$INSTANCE"
    flock --nonblock 7 || {
        say "another cluster-up or cluster-down is at work; waiting for it"
        flock 7
    }
}

# check_cluster_dir: refuses a folder that something else lives in, since `down` removes it.
check_cluster_dir() {
    [[ $EDGE_CLUSTER_DIR == /* ]] || die "EDGE_CLUSTER_DIR is '$EDGE_CLUSTER_DIR'; it must be an absolute path"
    [[ ! -e $EDGE_CLUSTER_DIR || -e $EDGE_CLUSTER_DIR/$MARKER ]] && return
    [[ -d $EDGE_CLUSTER_DIR && -z $(ls -A "$EDGE_CLUSTER_DIR") ]] ||
        die "$EDGE_CLUSTER_DIR exists and was not made by these scripts; choose another EDGE_CLUSTER_DIR"
}

# end_cluster: kills whatever is left of it and removes all it made. Does nothing when there is nothing.
end_cluster() {
    check_cluster_dir
    local pid deadline=$((SECONDS + ENDING_SECONDS))
    if pid=$(cluster_pid); then
        # Takes PID 1 of the namespaces with it, and that takes everything else.
        kill -KILL "$pid"
    fi
    until [[ -z $(cgroup_processes "$INSTANCE") ]] && remove_cgroup "$INSTANCE"; do
        ((SECONDS < deadline)) || die "processes of the cluster are still there after $ENDING_SECONDS s: $(cgroup_processes "$INSTANCE" | tr '\n' ' ')"
        sleep 0.05
    done
    # Its mounts lived in its own mount namespace and went with the last process.
    rm -rf --one-file-system "$EDGE_CLUSTER_DIR"
}
