# shellcheck shell=bash
# What the cluster sees of the machine: its own kernel views, settings and network. Sourced by main.sh.

# own_kernel_views: /sys of the new network namespace, and cgroups that begin at the cluster's own.
own_kernel_views() {
    local cgroups
    cgroups=$(cgroup_mounts)
    mount -t sysfs sysfs /sys
    mount_own_cgroups "$cgroups"
    hostname "$CONTROL_PLANE_NODE"
}

# pretend_kernel_settings: the kubelet sets these for the whole machine. Here they are files that already have
# the value it wants, so that it leaves the machine's as they are.
pretend_kernel_settings() {
    local folder=$STATE/kernel-settings setting
    mkdir -p "$folder"
    echo 1 >"$folder/vm.overcommit_memory"
    echo 0 >"$folder/vm.panic_on_oom"
    echo 10 >"$folder/kernel.panic"
    echo 1 >"$folder/kernel.panic_on_oops"
    echo 1000000 >"$folder/kernel.keys.root_maxkeys"
    echo 25000000 >"$folder/kernel.keys.root_maxbytes"
    for setting in "$folder"/*; do
        setting=${setting##*/}
        mount --bind "$folder/$setting" "/proc/sys/${setting//.//}"
    done
}

# make_lan: the network between nodes. A second node would plug one end of a veth pair into this bridge.
make_lan() {
    ip link set lo up
    # A bridge because not every kernel has dummy devices; it is up without a port.
    ip link add "$LAN_BRIDGE" type bridge
    ip address add "$CONTROL_PLANE_IP/$LAN_PREFIX" dev "$LAN_BRIDGE"
    ip link set "$LAN_BRIDGE" up
    # Nothing leads further: what no route covers fails at once. Services need a route only
    # to be sent at all; kube-proxy's rules then rewrite their destination.
    ip route add "$SERVICE_CIDR" dev "$LAN_BRIDGE"
    echo 1 >/proc/sys/net/ipv4/ip_forward
    # For whoever asks the node's resolver, such as pods with dnsPolicy Default.
    echo "nameserver $CONTROL_PLANE_IP" >"$STATE/resolv.conf"
    local resolver
    resolver=$(realpath --canonicalize-missing /etc/resolv.conf)
    # Often a link into /run, which is ours and empty by now.
    [[ $resolver != /run/* ]] || { mkdir -p "$(dirname "$resolver")" && touch "$resolver"; }
    [[ ! -e $resolver ]] || mount --bind "$STATE/resolv.conf" "$resolver"
}
