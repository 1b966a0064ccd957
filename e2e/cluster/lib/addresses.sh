# shellcheck shell=bash
# The addresses of the cluster. They exist only inside its own network namespace,
# so that they can be constants: nothing outside is ever reached by them.
# shellcheck disable=SC2034  # read by the scripts and templates that source this file

# The network between nodes: a bridge that the first node holds.
LAN_BRIDGE=edge-lan
LAN_PREFIX=24
CONTROL_PLANE_NODE=edge
CONTROL_PLANE_IP=10.250.0.1

SERVICE_CIDR=10.96.0.0/16
# Of every cluster of this kind: the first is `kubernetes`, the tenth is the DNS.
KUBERNETES_SERVICE_IP=10.96.0.1
DNS_SERVICE_IP=10.96.0.10
CLUSTER_DOMAIN=cluster.local

# A node takes the /24 of its address's last number: 10.250.0.7 gives its pods 10.251.7.0/24.
POD_CIDR=10.251.0.0/16

API_PORT=6443
OPEN_REGISTRY=$CONTROL_PLANE_IP:5000
CLOSED_REGISTRY=$CONTROL_PLANE_IP:5001
REGISTRY_USER=edge

# node_pod_cidr NODE_IP: the addresses of that node's pods.
node_pod_cidr() {
    printf '10.251.%s.0/24' "${1##*.}"
}
