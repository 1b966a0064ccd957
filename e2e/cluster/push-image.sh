#!/usr/bin/env bash
# Pushes a docker-archive file into a registry of the local cluster.
#
#   push-image.sh FILE NAME:TAG
#
# NAME may begin with the registry's address: 10.250.0.1:5000 is open to all and the
# default, 10.250.0.1:5001 asks for user `edge` and the password in registry-password.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

(($# == 2)) || die "usage: $(basename "$0") FILE NAME:TAG"
file=$1 name=$2
need_local "pushing to the cluster's registries"
need_root
need_up
[[ -f $file ]] || die "'$file' is not a file"
case $name in
    "$OPEN_REGISTRY"/* | "$CLOSED_REGISTRY"/*) ;;
    *) name=$OPEN_REGISTRY/$name ;;
esac
# Only the network is the cluster's: the file is read where the caller sees it.
in_cluster --net skopeo --insecure-policy copy --quiet --dest-tls-verify=false \
    --dest-authfile "$EDGE_CLUSTER_DIR/registry-auth.json" "docker-archive:$file" "docker://$name" >&2
say "pushed $name"
