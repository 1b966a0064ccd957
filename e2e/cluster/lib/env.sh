# shellcheck shell=bash
# What every script of the cluster shares: where things are, which addresses the
# cluster uses, and how scripts talk to the person who runs them. Sourced, never run.

# Built tools and images, kept between clusters and checkouts.
EDGE_CACHE=${EDGE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/edge-operator}
# Everything that belongs to one running cluster. `down.sh` removes it.
EDGE_CLUSTER_DIR=${EDGE_CLUSTER_DIR:-$EDGE_CACHE/cluster}
# `local`: the cluster of these scripts. `current`: the person's own, through their kubeconfig.
CLUSTER=${CLUSTER:-local}

CLUSTER_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034  # used by the scripts that source this
TOOL_FAMILIES=(kubernetes etcd coredns helm)

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# family_version FAMILY: the version its go.mod asks for; the first requirement is the program itself.
family_version() {
    awk '$1 == "require" && NF == 3 { print $3; exit }' "$CLUSTER_SCRIPTS/tools/$1/go.mod"
}

# tool_dir FAMILY: where the built programs of a family are kept.
tool_dir() {
    printf '%s/tools/%s-%s' "$EDGE_CACHE" "$1" "$(family_version "$1")"
}

case $CLUSTER in
    local | current) ;;
    *) die "CLUSTER is '$CLUSTER'; it must be 'local' (the cluster of these scripts) or 'current' (your own kubeconfig)" ;;
esac
