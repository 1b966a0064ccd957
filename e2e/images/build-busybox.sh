#!/usr/bin/env bash
# An image with Debian's static busybox: sh, nc, httpd, wget and the rest, for small test modules.
# (Its wget crashes when given -T: put `timeout` in front instead.)
#
#   build-busybox.sh OUTPUT [NAME:TAG]        (edge-e2e/busybox:1)
set -euo pipefail
# shellcheck source=lib/archive.sh
source "$(dirname "$0")/lib/archive.sh"

(($# >= 1)) || die "usage: $(basename "$0") OUTPUT [NAME:TAG]"
output=$1 name=${2:-edge-e2e/busybox:1}
busybox=/bin/busybox
[[ -x $busybox ]] || die "$busybox is missing; it is in the Debian package busybox-static (see e2e/cluster/install-packages.sh)"
LC_ALL=C grep -qE -m1 -a '/lib(64)?/ld-(linux|musl)' "$busybox" &&
    die "$busybox is dynamically linked; install the Debian package busybox-static"

cached=$(image_cache)/busybox-$(content_key "$busybox" "$0" "$(dirname "$0")/lib/archive.sh" "$name").tar
if [[ ! -f $cached ]]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    umask 022
    mkdir -p "$work/root/bin" "$work/root/tmp" "$work/root/data"
    chmod 1777 "$work/root/tmp"
    # Writable by any user, so that a volume mounted here may be tested without root.
    chmod 0777 "$work/root/data"
    install -m 0755 "$busybox" "$work/root/bin/busybox"
    while read -r applet; do
        [[ $applet == busybox ]] || ln -s busybox "$work/root/bin/$applet"
    done < <("$busybox" --list)
    write_users "$work/root"
    reproducible_tar "$work/root" "$work/layer.tar"
    write_image "$cached" "$name" '"User":"65532:65532","WorkingDir":"/","Env":["PATH=/bin"],"Cmd":["/bin/sh"]' "$work/layer.tar"
fi
publish "$cached" "$output"
