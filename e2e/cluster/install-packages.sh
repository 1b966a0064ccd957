#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that the cluster and its tests use, where they are missing.
#
# Looks for the programs, not for the packages, since another vendor's containerd is as
# good; never removes a package; leaves no service running or enabled that it brought.
# Says nothing when nothing is missing.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"

# "what it brings" "its package": the first is a program in PATH or an absolute path.
NEEDED=(
    awk mawk
    catatonit catatonit
    containerd containerd
    flock util-linux
    htpasswd apache2-utils
    inotifywait inotify-tools
    ip iproute2
    iptables iptables
    mkfs.ext4 e2fsprogs
    mmdebstrap mmdebstrap
    mosquitto mosquitto
    mosquitto_pub mosquitto-clients
    musl-gcc musl-tools
    openssl openssl
    docker-registry docker-registry
    runc runc
    skopeo skopeo
    socat socat
    /usr/lib/cni/ptp containernetworking-plugins
    /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
    /etc/ssl/certs/ca-certificates.crt ca-certificates
)

# is_there PROGRAM_OR_PATH
is_there() {
    case $1 in
        /*) [[ -e $1 ]] ;;
        *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
    esac
}

# busybox_is_static: another busybox package has the same program, linked dynamically.
busybox_is_static() {
    [[ -x /bin/busybox ]] && ! LC_ALL=C grep -qE -m1 -a '/lib(64)?/ld-(linux|musl)' /bin/busybox
}

missing=()
for ((i = 0; i < ${#NEEDED[@]}; i += 2)); do
    is_there "${NEEDED[i]}" || missing+=("${NEEDED[i + 1]}")
done
busybox_is_static || missing+=(busybox-static)
# Any Python with pip will do: it only unpacks the packages of an image.
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
((${#missing[@]} > 0)) || exit 0

command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get to install them: ${missing[*]}"
((EUID == 0)) || die "these packages are missing; install them as root: apt-get install ${missing[*]}"

# Services of a package that is new here would start at once, and at every boot.
services() { find /lib/systemd/system -maxdepth 1 -name '*.service' -printf '%f\n' 2>/dev/null || true; }
services_before=$(services)
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi

# apt COMMAND…: quiet unless it fails.
apt() {
    local log
    log=$(DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes "$@" 2>&1) || {
        printf '%s\n' "$log" | tail -n 20 >&2
        return 1
    }
}

say "installing ${#missing[@]} packages: ${missing[*]}"
# A fresh machine has no lists yet, and old lists name versions that are gone.
if ! apt install --no-install-recommends --no-remove "${missing[@]}" 2>/dev/null; then
    say "updating the package lists"
    apt update || die "apt-get update failed"
    apt install --no-install-recommends --no-remove "${missing[@]}" || die "apt-get could not install ${missing[*]}"
fi

if [[ -d /run/systemd/system ]]; then
    services_after=$(services)
    for service in containerd docker-registry mosquitto; do
        grep -qx "$service.service" <<<"$services_before" && continue
        grep -qx "$service.service" <<<"$services_after" || continue
        systemctl disable --now "$service.service" >/dev/null 2>&1 || say "could not disable the service $service; it is not needed"
    done
fi
