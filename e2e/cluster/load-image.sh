#!/usr/bin/env bash
# Loads images from docker-archive files into the node, without a registry.
#
#   load-image.sh FILE…
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

(($# > 0)) || die "usage: $(basename "$0") FILE…"
[[ $CLUSTER == local ]] || die "images cannot be put into your current cluster from here: push $* to a registry that its nodes can pull from, and name that image"
need_root
need_up
for file; do
    [[ -f $file ]] || die "'$file' is not a file"
    # Through standard input, since the file's path need not exist inside.
    enter_node ctr --namespace k8s.io images import - <"$file" >&2 || die "could not load $file"
done
