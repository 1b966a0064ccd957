#!/usr/bin/env bash
# The image of sender and recorder.
#
#   build-image.sh OUTPUT [NAME:TAG]        (edge-e2e/load:1)
set -euo pipefail
images=$(cd "$(dirname "$0")/../images" && pwd)
# shellcheck source=../images/lib/archive.sh
source "$images/lib/archive.sh"
# shellcheck source=../images/lib/rust.sh
source "$images/lib/rust.sh"

(($# >= 1)) || die "usage: $(basename "$0") OUTPUT [NAME:TAG]"
output=$1 name=${2:-edge-e2e/load:1}
# A tool of the tests, not a product: nobody waits for its link-time optimisation.
folder=$(PROFILE=fast build_static -p edge-load)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/programs"
cp "$folder/edge-load" "$work/programs/"
"$images/build-scratch.sh" "$work/programs" "$name" "$output" /bin/edge-load
