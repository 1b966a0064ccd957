#!/usr/bin/env bash
# Packs static programs into an image with nothing else in it.
#
#   build-scratch.sh FOLDER NAME:TAG OUTPUT [ENTRYPOINT [ARGUMENT…]]
#
# Every file of FOLDER becomes /bin/<file>, mode 0755. The image runs as user 65532,
# has no shell and no CA certificates; ENTRYPOINT (such as /bin/edge-hub) is optional,
# since one image serves several programs and each pod names its own.
set -euo pipefail
# shellcheck source=lib/archive.sh
source "$(dirname "$0")/lib/archive.sh"

(($# >= 3)) || die "usage: $(basename "$0") FOLDER NAME:TAG OUTPUT [ENTRYPOINT [ARGUMENT…]]"
folder=$1 name=$2 output=$3
shift 3
check_name "$name"
[[ -d $folder ]] || die "'$folder' is not a folder"
mkdir -p "$(dirname "$output")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
mkdir -p "$work/root/bin" "$work/root/tmp"
chmod 1777 "$work/root/tmp"
found=0
for program in "$folder"/*; do
    [[ -f $program ]] || continue
    # A program that needs a loader would start nowhere: there is no libc in the image.
    if LC_ALL=C grep -qE -m1 -a '/lib(64)?/ld-(linux|musl)' "$program"; then
        die "$program is dynamically linked; an image without a libc needs static programs"
    fi
    install -m 0755 "$program" "$work/root/bin/"
    found=$((found + 1))
done
((found > 0)) || die "'$folder' contains no file to put into the image"
write_users "$work/root"
reproducible_tar "$work/root" "$work/layer.tar"

config='"User":"65532:65532","WorkingDir":"/","Env":["PATH=/bin"]'
(($# == 0)) || config+=",\"Entrypoint\":$(json_strings "$@")"
write_image "$output" "$name" "$config" "$work/layer.tar"
