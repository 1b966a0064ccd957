#!/usr/bin/env bash
# Starts etcd, the API server, the controller manager and the scheduler; returns when the API is ready.
#
# Leaves admin.kubeconfig and the CA behind, which node.sh needs.
set -euo pipefail
# shellcheck source=../lib/component.sh
source /run/edge/scripts/lib/component.sh
# shellcheck source=../lib/pki.sh
source "$SCRIPTS/lib/pki.sh"

PKI=$STATE/pki
mkdir -p "$PKI"

start etcd etcd

make_ca "$PKI"
pids=()
# in_parallel COMMAND…: most of the work is starting openssl a dozen times.
in_parallel() {
    "$@" &
    pids+=("$!")
}
names=IP:127.0.0.1,IP:$CONTROL_PLANE_IP,IP:$KUBERNETES_SERVICE_IP,DNS:localhost
for name in kubernetes kubernetes.default kubernetes.default.svc "kubernetes.default.svc.$CLUSTER_DOMAIN"; do
    names+=,DNS:$name
done
in_parallel issue "$PKI" kube-apiserver /CN=kube-apiserver "$names"
in_parallel issue "$PKI" admin /O=system:masters/CN=admin
in_parallel issue "$PKI" kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
in_parallel issue "$PKI" kube-controller-manager /CN=system:kube-controller-manager
in_parallel issue "$PKI" kube-scheduler /CN=system:kube-scheduler
in_parallel issue "$PKI" kube-proxy /CN=system:kube-proxy
in_parallel issue "$PKI" coredns /CN=edge:coredns
for pid in "${pids[@]}"; do
    wait "$pid" || fail openssl "a certificate could not be made"
done

start kube-apiserver kube-apiserver
for user in admin kube-controller-manager kube-scheduler coredns; do
    write_kubeconfig "$STATE/$user.kubeconfig" "https://127.0.0.1:$API_PORT" "$PKI" "$user"
done
# The nodes' own: over the network between nodes, so that it holds on any of them.
write_kubeconfig "$STATE/kube-proxy.kubeconfig" "https://$CONTROL_PLANE_IP:$API_PORT" "$PKI" kube-proxy

wait_for 60 kube-apiserver "the API server to be ready" kubectl get --raw /readyz
start kube-controller-manager kube-controller-manager
start kube-scheduler kube-scheduler
