#!/usr/bin/env bash
# An image with Debian's mosquitto and its clients: a broker that counts what it was given.
#
#   build-mosquitto.sh OUTPUT [NAME:TAG]        (edge-e2e/mosquitto:1)
#
# Runs `mosquitto -c /mosquitto/mosquitto.conf` as user 65532, which listens on port 1883
# without asking for a password. Mount another file there for anything else.
set -euo pipefail
# shellcheck source=lib/archive.sh
source "$(dirname "$0")/lib/archive.sh"
# shellcheck source=lib/debian.sh
source "$(dirname "$0")/lib/debian.sh"

(($# >= 1)) || die "usage: $(basename "$0") OUTPUT [NAME:TAG]"
output=$1 name=${2:-edge-e2e/mosquitto:1}
check_name "$name"

scripts=$(cd "$(dirname "$0")" && pwd)
cached=$(image_cache)/mosquitto-$(content_key "$name" "$0" "$scripts/lib/archive.sh" "$scripts/lib/debian.sh").tar
if [[ ! -f $cached ]]; then
    base=$(debian_layer mosquitto mosquitto-clients)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    umask 022
    mkdir -p "$work/root/mosquitto/data"
    chmod 0777 "$work/root/mosquitto/data"
    cat >"$work/root/mosquitto/mosquitto.conf" <<'EOF'
listener 1883
allow_anonymous true
# A burst of messages for a slow subscriber waits here, and is not dropped.
max_queued_messages 200000
log_dest stdout
EOF
    reproducible_tar "$work/root" "$work/layer.tar"
    write_image "$cached" "$name" \
        '"User":"65532:65532","WorkingDir":"/","Env":["PATH=/usr/sbin:/usr/bin:/bin"],"Cmd":["mosquitto","-c","/mosquitto/mosquitto.conf"]' \
        "$base" "$work/layer.tar"
fi
publish "$cached" "$output"
