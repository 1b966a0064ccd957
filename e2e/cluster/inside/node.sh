#!/usr/bin/env bash
# Starts a node in the namespaces it is called in: containerd, the kubelet and kube-proxy.
#
#   node.sh NAME IP
#
# IP must be an address of these namespaces on the network between nodes. Returns when
# the programs run; whether the node is Ready is for the caller to await.
set -euo pipefail
# shellcheck source=../lib/component.sh
source /run/edge/scripts/lib/component.sh
# shellcheck source=../lib/pki.sh
source "$SCRIPTS/lib/pki.sh"
# shellcheck source=../lib/cgroup.sh
source "$SCRIPTS/lib/cgroup.sh"

NODE_NAME=${1:?name of the node} NODE_IP=${2:?its address}
NODE_STATE=$STATE/nodes/$NODE_NAME
# shellcheck disable=SC2034  # named by a template
NODE_POD_CIDR=$(node_pod_cidr "$NODE_IP")
PKI=$STATE/pki
SOCKET=/run/containerd/containerd.sock
mkdir -p "$NODE_STATE/config"

# own_folder PATH: an empty folder of this node in place of the machine's, on the disk of the cluster's state.
own_folder() {
    local folder=$NODE_STATE/root$1
    mkdir -p "$folder" "$1"
    mount --bind "$folder" "$1"
}
# Everything that containerd, CNI and the kubelet keep, at the paths that other programs expect of a node.
own_folder /var/lib
own_folder /var/log
mkdir -p /run/containerd /run/netns
mount -t tmpfs -o mode=755 tmpfs /run/containerd
mount -t tmpfs -o mode=755 tmpfs /run/netns
mount --make-shared /run/netns

# An overlay cannot be laid over an overlay, which is what a container's own file system is.
SNAPSHOTTER=overlayfs
# shellcheck disable=SC2034  # named by a template
[[ $(stat --file-system --format=%T "$NODE_STATE") != overlayfs ]] || SNAPSHOTTER=native

for template in "$SCRIPTS"/config/node/*; do
    render "$template" >"$NODE_STATE/config/$(basename "$template")"
done
mkdir -p "$NODE_STATE/config/net.d"
mv "$NODE_STATE/config/10-edge.conflist" "$NODE_STATE/config/net.d/"
for REGISTRY in "$OPEN_REGISTRY" "$CLOSED_REGISTRY"; do
    mkdir -p "$NODE_STATE/config/registries/$REGISTRY"
    render "$SCRIPTS/config/registry-host.toml" >"$NODE_STATE/config/registries/$REGISTRY/hosts.toml"
done
start "containerd-$NODE_NAME" containerd --config "$NODE_STATE/config/containerd.toml"

issue "$PKI" "kubelet-$NODE_NAME" "/O=system:nodes/CN=system:node:$NODE_NAME" "DNS:$NODE_NAME,IP:$NODE_IP"
write_kubeconfig "$NODE_STATE/kubelet.kubeconfig" "https://$CONTROL_PLANE_IP:$API_PORT" "$PKI" "kubelet-$NODE_NAME"

wait_for 30 "containerd-$NODE_NAME" "containerd of node $NODE_NAME" ctr --address "$SOCKET" version
ctr --address "$SOCKET" --namespace k8s.io images import "$STATE/pause.tar" >>"$STATE/log/containerd-$NODE_NAME.log" 2>&1 ||
    fail "containerd-$NODE_NAME" "the pause image could not be loaded"

make_cgroups "$NODE_NAME"
COMPONENT_FLAGS=kubelet start "kubelet-$NODE_NAME" kubelet
COMPONENT_FLAGS=kube-proxy start "kube-proxy-$NODE_NAME" kube-proxy
