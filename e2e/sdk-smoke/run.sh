#!/usr/bin/env bash
# The two Python modules against a hub, without a cluster: hub, sidecars, site broker and the public SDK on loopback.
#
# Three passages, each awaited by what arrives at the broker:
#   1. sensor → hub → filter → hub → broker: readings of this run, and none below the threshold;
#   2. the hub is killed with SIGKILL and started again: the modules come back by themselves and readings go on. The SDK never
#      repeats a subscription, so this fails when sessions are lost;
#   3. the broker is killed and started again: what was sent meanwhile arrives, in order and without a gap.
#
# Needs python3 with pip, openssl and cargo. As root it runs in a network of its own, since SDKs know no other port than 8883.
# PROFILE (dev) chooses cargo's profile; KEEP=1 leaves logs and data behind even after success.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
# shellcheck source=../demo/readings.sh
source "$here/../demo/readings.sh"
cache=${EDGE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/edge-operator}

# How long one passage may take, in seconds. The SDK tries to reconnect every 10 s.
PATIENCE=90
# Readings that a passage waits for.
ENOUGH=5
THRESHOLD=25
GATEWAY=localhost
DEVICE=smoke

say() { printf '%s\n' "$*" >&2; }

requirements=$repository/e2e/modules/requirements.txt
packages=$cache/python/$(python3 --version | cut -d' ' -f2)-$(sha256sum <"$requirements" | cut -c1-16)
profile=${PROFILE:-dev}
programs=${CARGO_TARGET_DIR:-$repository/target}/${profile/#dev/debug}

# Once, with the machine's own network; the second time around all is there.
if [[ -z ${EDGE_SMOKE_NETWORK:-} ]]; then
    say "building edge-hub, edge-workload and the site broker"
    (cd "$repository" && cargo build --quiet --profile "$profile" -p edge-hub -p edge-site-broker --bins >&2)
    if [[ ! -d $packages ]]; then
        say "fetching the Python packages"
        mkdir -p "$cache/python"
        PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps \
            --target "$packages.part.$$" --requirement "$requirements" >&2
        mv "$packages.part.$$" "$packages"
    fi
    ((EUID != 0)) || EDGE_SMOKE_NETWORK=own exec unshare --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi
[[ -z ${EDGE_SMOKE_NETWORK:-} ]] || ip link set lo up

work=$(mktemp -d)
declare -A running=()

# start NAME COMMAND…: in the background, with a log; add what it prints to what an earlier one of this name printed.
start() {
    local name=$1
    shift
    "$@" >>"$work/$name.log" 2>>"$work/$name.err" &
    running[$name]=$!
}

# end NAME SIGNAL: and wait until it is gone.
end() {
    kill "-$2" "${running[$1]}" 2>/dev/null || true
    wait "${running[$1]}" 2>/dev/null || true
    unset "running[$1]"
}

finish() {
    local status=$?
    local name
    for name in "${!running[@]}"; do end "$name" TERM; done
    if ((status != 0)); then
        for name in hub sensor filter broker workload-tempSensor workload-filter; do
            say "--- the last lines of $name"
            tail -n 20 "$work/$name.log" "$work/$name.err" >&2 2>/dev/null || true
        done
    fi
    if ((status != 0)) || [[ -n ${KEEP:-} ]]; then
        say "logs and data: $work"
    else
        rm -rf "$work"
    fi
    exit "$status"
}
trap finish EXIT

# until WHAT COMMAND…: waits for the command to succeed; nothing tells us otherwise. Ends the script when a process died.
until_true() {
    local what=$1 deadline=$((SECONDS + PATIENCE)) name
    shift
    until "$@"; do
        ((SECONDS < deadline)) || { say "error: $what did not happen within $PATIENCE s"; exit 1; }
        for name in "${!running[@]}"; do
            kill -0 "${running[$name]}" 2>/dev/null || { say "error: $name ended while waiting: $what"; exit 1; }
        done
        sleep 0.1
    done
}

# ---- what everybody believes in: a CA, the hub's certificate, two identities ----
config=$work/config
mkdir -p "$config/tls" "$work/data"
openssl_quiet() { openssl "$@" 2>>"$work/openssl.log" || { cat "$work/openssl.log" >&2; exit 1; }; }
openssl_quiet req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=smoke CA" \
    -keyout "$work/ca.key" -out "$work/ca.crt"
openssl_quiet req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$GATEWAY" \
    -keyout "$config/tls/tls.key" -out "$work/hub.csr"
openssl_quiet x509 -req -in "$work/hub.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
    -extfile <(printf 'subjectAltName=DNS:%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n' "$GATEWAY") \
    -out "$config/tls/tls.crt"

identities=
for module in tempSensor filter; do
    folder=$work/identity-$module
    mkdir "$folder"
    printf '%s' "$DEVICE" >"$folder/device-id"
    printf '%s' "$module" >"$folder/module-id"
    printf 'g1' >"$folder/generation-id"
    openssl rand -base64 32 >"$folder/key"
    openssl rand -base64 32 >"$folder/encryption-key"
    identities+=${identities:+,}"{\"moduleId\":\"$module\",\"primaryKey\":\"$(<"$folder/key")\"}"
done
(umask 077 && printf '{"modules":[%s]}\n' "$identities" >"$config/identities.json")
cat >"$config/hub.json" <<JSON
{
  "version": "1",
  "deviceId": "$DEVICE",
  "gatewayHostnames": ["$GATEWAY"],
  "listeners": {"mqtt": {"address": "127.0.0.1:8883", "certificateFile": "tls/tls.crt", "privateKeyFile": "tls/tls.key"}},
  "upstream": {"mqtt": {"url": "mqtt://127.0.0.1:1883"}},
  "routes": [
    {"name": "readings", "route": "FROM /messages/modules/tempSensor/outputs/temperatureOutput INTO BrokeredEndpoint(\"/modules/filter/inputs/input1\")"},
    {"name": "alerts", "route": "FROM /messages/modules/filter/outputs/output1 INTO \$upstream"}
  ]
}
JSON

start_hub() { start hub env RUST_LOG=info "$programs/edge-hub" --config "$config" --data "$work/data"; }
start_broker() { start broker "$programs/edge-site-broker" --listen 127.0.0.1:1883; }

# start_module NAME MODULE SCRIPT SETTING…: its sidecar, the wait that a kubelet would do, and the module.
start_module() {
    local name=$1 module=$2 script=$3 socket=$work/$2.sock
    shift 3
    start "workload-$module" "$programs/edge-workload" serve --socket "$socket" --identity "$work/identity-$module" --trust-bundle "$work/ca.crt"
    "$programs/edge-workload" wait --socket "$socket" --hub "$GATEWAY:8883" --trust-bundle "$work/ca.crt" --timeout 30s 2>>"$work/wait.log"
    start "$name" env PYTHONPATH="$packages" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
        IOTEDGE_WORKLOADURI="unix://$socket" IOTEDGE_DEVICEID="$DEVICE" IOTEDGE_MODULEID="$module" \
        IOTEDGE_MODULEGENERATIONID=g1 IOTEDGE_GATEWAYHOSTNAME="$GATEWAY" IOTEDGE_IOTHUBHOSTNAME="$GATEWAY" \
        IOTEDGE_APIVERSION=2020-07-07 IOTEDGE_AUTHSCHEME=sasToken "$@" \
        python3 "$repository/e2e/modules/$script"
}

# arrived: the readings of this run that were seen at the broker; sent: those that the sensor sent.
arrived() { grep -F "\"nonce\":\"$nonce\"" "$work/broker.log" 2>/dev/null | readings; }
sent() { grep -F ' sent ' "$work/sensor.log" 2>/dev/null | readings; }
more_than() { (($(arrived | wc -l) >= $1)); }
sent_above() { (($(sent | above "$THRESHOLD" | wc -l) >= $1)); }
something_to_drop() { [[ -n $(sent | not_above "$THRESHOLD") ]]; }
# up_to_date: has the last reading arrived that had to when this was first asked?
up_to_date() { arrived | grep -qxF "$last"; }

nonce=$(openssl rand -hex 8)
start_broker
start_hub
start_module sensor tempSensor temperature_sensor.py INTERVAL_SECONDS=0.2 NONCE="$nonce"
start_module filter filter filter.py THRESHOLD="$THRESHOLD"

say "1. waiting for $ENOUGH readings above $THRESHOLD at the broker"
until_true "the arrival of $ENOUGH readings" more_than "$ENOUGH"
until_true "a reading that the filter has to drop" something_to_drop

say "2. killing the hub; the modules have to come back by themselves"
end hub KILL
before=$(arrived | wc -l)
start_hub
until_true "the arrival of more readings after the hub's restart" more_than $((before + ENOUGH))

say "3. killing the broker; what is sent meanwhile has to arrive later"
# Right after a reading was printed: this broker acknowledges what it has not printed yet, and forgets it when it dies.
before=$(arrived | wc -l)
until_true "the arrival of one more reading" more_than $((before + 1))
end broker KILL
count=$(sent | above "$THRESHOLD" | wc -l)
until_true "more readings above the threshold while the broker is away" sent_above $((count + ENOUGH))
last=$(sent | above "$THRESHOLD" | tail -n 1)
start_broker
until_true "the arrival of what was sent while the broker was away" up_to_date

sent | above "$THRESHOLD" >"$work/sent"
arrived >"$work/arrived"
check() { [[ -z $2 ]] || { say "error: readings $1 (number, temperature):" "$2"; exit 1; }; }
check "arrived that the filter should have dropped" "$(not_above "$THRESHOLD" <"$work/arrived")"
check "were lost on the way" "$(lost "$work/sent" "$work/arrived")"
check "arrived out of order" "$(out_of_order <"$work/arrived")"
say "well: $(wc -l <"$work/arrived") readings arrived, none at or below $THRESHOLD, none lost, in order"
