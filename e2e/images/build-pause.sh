#!/usr/bin/env bash
# The image that holds a pod's namespaces open: Debian's static catatonit in its pause mode.
#
#   build-pause.sh OUTPUT [NAME:TAG]        (edge.local/pause:1)
set -euo pipefail
# shellcheck source=lib/archive.sh
source "$(dirname "$0")/lib/archive.sh"

(($# >= 1)) || die "usage: $(basename "$0") OUTPUT [NAME:TAG]"
require catatonit catatonit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/programs"
cp "$(command -v catatonit)" "$work/programs/pause"
"$(dirname "$0")/build-scratch.sh" "$work/programs" "${2:-edge.local/pause:1}" "$1" /bin/pause -P
