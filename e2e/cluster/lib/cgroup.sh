# shellcheck shell=bash
# A cgroup of its own for the cluster, in every hierarchy this machine has. Sourced, never run.
#
#   /sys/fs/cgroup/…/<name>        what the cluster sees as the root of its cgroups
#   /sys/fs/cgroup/…/<name>/init   the components; pods are beside it, below kubepods
#
# Version 2 lets a group that hands out controllers hold no process, hence `init`;
# version 1 does not mind, so both look the same.

# cgroup_mounts: "type path options" of each hierarchy.
cgroup_mounts() {
    awk '$3 == "cgroup" || $3 == "cgroup2" { print $3, $2, $4 }' /proc/mounts
}

# v1_controllers OPTIONS: the mount options that choose a version 1 hierarchy.
v1_controllers() {
    local option chosen=
    local IFS=,
    for option in $1; do
        case $option in
            rw | ro | nosuid | nodev | noexec | relatime | noatime | xattr | clone_children | noprefix | release_agent=*) ;;
            *) chosen+=${chosen:+,}$option ;;
        esac
    done
    printf '%s' "$chosen"
}

# delegate_v2 FOLDER: lets the children of a version 2 group use every controller it has. One that cannot be
# passed on (a few depend on the kernel's build) matters only if the kubelet needs it.
delegate_v2() {
    local controller available enabled
    read -r available <"$1/cgroup.controllers" || true
    for controller in $available; do
        { echo "+$controller" >"$1/cgroup.subtree_control"; } 2>/dev/null || true
    done
    read -r enabled <"$1/cgroup.subtree_control" || true
    for controller in cpu cpuset memory pids; do
        [[ " $available " != *" $controller "* || " $enabled " == *" $controller "* ]] || return
    done
}

# make_cgroup FOLDER TYPE: one group, ready for processes.
make_cgroup() {
    mkdir -p "$1"
    # A new version 1 cpuset has no CPU and no memory node, and refuses processes until it has.
    local file
    for file in cpuset.cpus cpuset.mems; do
        [[ $2 == cgroup && -e $1/$file && -z $(cat "$1/$file") ]] || continue
        cat "$(dirname "$1")/$file" >"$1/$file"
    done
}

# join_cgroup NAME: moves this process there, at the top of each hierarchy.
join_cgroup() {
    local type path options
    while read -r type path options; do
        if [[ $type == cgroup2 ]] && ! delegate_v2 "$path"; then
            # The top of a container's own hierarchy holds the container's processes, which are not ours to move.
            say "error: the controllers of $path cannot be handed to a child group; is this inside a container?"
            return 1
        fi
        make_cgroup "$path/$1" "$type"
        echo "$BASHPID" >"$path/$1/cgroup.procs"
    done < <(cgroup_mounts)
}

# make_cgroups NAME: an empty group of that name in each hierarchy, ready for groups below it.
make_cgroups() {
    local type path options
    while read -r type path options; do
        make_cgroup "$path/$1" "$type"
        [[ $type != cgroup2 ]] || delegate_v2 "$path/$1"
    done < <(cgroup_mounts)
}

# cgroup_processes NAME: process ids still in any group of that name or below.
cgroup_processes() {
    local type path options
    while read -r type path options; do
        [[ -d $path/$1 ]] || continue
        find "$path/$1" -name cgroup.procs -exec cat {} + 2>/dev/null
    done < <(cgroup_mounts) | sort -u
}

# remove_cgroup NAME: all its groups; fails while a process is in one.
remove_cgroup() {
    local type path options status=0
    while read -r type path options; do
        [[ ! -d $path/$1 ]] || find "$path/$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [[ ! -d $path/$1 ]] || status=1
    done < <(cgroup_mounts)
    return "$status"
}

# mount_own_cgroups MOUNTS: inside a cgroup namespace, mounts the hierarchies again, so that they begin at its root.
# MOUNTS is what cgroup_mounts said before a new /sys hid them.
mount_own_cgroups() {
    local mounts=$1 type path options controllers controller
    if [[ $mounts == "cgroup2 /sys/fs/cgroup "* ]]; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        delegate_v2 /sys/fs/cgroup
        return
    fi
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while read -r type path options; do
        mkdir -p "$path"
        if [[ $type == cgroup2 ]]; then
            mount -t cgroup2 cgroup2 "$path"
            continue
        fi
        controllers=$(v1_controllers "$options")
        mount -t cgroup -o "$controllers" cgroup "$path"
        # "cpu,cpuacct" is one hierarchy that programs look for under both names.
        if [[ $controllers == *,* ]]; then
            for controller in ${controllers//,/ }; do
                [[ -e /sys/fs/cgroup/$controller ]] || ln -s "$path" "/sys/fs/cgroup/$controller"
            done
        fi
    done <<<"$mounts"
}
