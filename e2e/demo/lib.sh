# shellcheck shell=bash disable=SC2034  # names are used by the scripts that source this
# What the scripts of the demo share: names, images, and how to talk. Sourced, never run.

DEMO=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$DEMO/../.." && pwd)
CLUSTER_SCRIPTS=$REPOSITORY/e2e/cluster
IMAGE_SCRIPTS=$REPOSITORY/e2e/images
EDGE_CACHE=${EDGE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/edge-operator}
export EDGE_CACHE CLUSTER=${CLUSTER:-local}

OPERATOR_NAMESPACE=edge-system
RELEASE=edge-operator
NAMESPACE=demo
DEPLOYMENT=line-7

say() { printf '%s\n' "$*"; }

# What a script died of; for traps, since much may be printed after the error itself.
FAILURE=

die() {
    FAILURE=$*
    printf 'error: %s\n' "$FAILURE" >&2
    exit 1
}

kubectl() { "$CLUSTER_SCRIPTS/kubectl.sh" "$@"; }
helm() { "$CLUSTER_SCRIPTS/helm.sh" "$@"; }
