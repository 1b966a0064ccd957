# shellcheck shell=bash
# Runs the programs of the cluster: flags from files, a log each, started again when they end.
# Sourced by the scripts below inside/, never run.

# The places as they are called inside the namespaces, wherever they are outside.
STATE=/run/edge/state
# shellcheck disable=SC2034  # some are for the scripts that source this
SCRIPTS=/run/edge/scripts

# shellcheck source=addresses.sh
source "$SCRIPTS/lib/addresses.sh"

# Pause before a program that ended is started again, in seconds: bounds the rate of a program that cannot run.
RESTART_PAUSE=1
# Lines of a log that a failure shows.
LOG_TAIL=15

mkdir -p "$STATE/log" "$STATE/run"

# Says to up.sh, which follows the log that standard error goes to, and to whoever reads it later.
say() { printf '%s\n' "$*" >&2; }

# fail COMPONENT REASON: ends the start, with the last words of the component that is to blame.
fail() {
    local component=$1 log=$STATE/log/$1.log
    say "error: $2"
    if [[ -s $log ]]; then
        say "the end of $OUTSIDE_STATE/log/$component.log:"
        tail -n "$LOG_TAIL" "$log" | cut -c1-400 | sed 's/^/    /' >&2
    fi
    exit 1
}

# render FILE: its text, with every @NAME@ replaced by that variable. Unknown names are errors.
render() {
    local text name
    text=$(<"$1")
    while [[ $text =~ @([A-Z_]+)@ ]]; do
        name=${BASH_REMATCH[1]}
        [[ -v $name ]] || { say "error: $1 names @$name@, which is not set"; return 1; }
        text=${text//"@$name@"/"${!name}"}
    done
    printf '%s\n' "$text"
}

# start NAME PROGRAM [ARGUMENT…]: keeps the program running. Its flags are in flags/NAME, if that exists:
# one per line, # for comments. A second node's component gets a name of its own, and COMPONENT_FLAGS.
start() {
    local name=$1 program=$2 flags=() file=$SCRIPTS/flags/${COMPONENT_FLAGS:-$1} rendered
    shift 2
    if [[ -e $file ]]; then
        rendered=$(render "$file")
        mapfile -t flags < <(grep -v -e '^[[:space:]]*#' -e '^[[:space:]]*$' <<<"$rendered")
    fi
    # Descriptor 9, the network outside, is for the API's relay alone.
    keep_running "$name" "$program" "${flags[@]}" "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 9>&- &
}

# keep_running NAME PROGRAM [ARGUMENT…]: the loop behind `start`.
keep_running() {
    local name=$1 code
    shift
    while true; do
        "$@" &
        echo "$!" >"$STATE/run/$name.pid"
        code=0
        wait "$!" || code=$?
        echo "$(date -u +%FT%TZ) exit code $code" >>"$STATE/run/$name.exits"
        echo "--- $name ended with exit code $code; it is started again in $RESTART_PAUSE s"
        sleep "$RESTART_PAUSE"
    done
}

# wait_for SECONDS COMPONENT WHAT COMMAND…: until the command succeeds. Fails when the component ended, or time is up.
wait_for() {
    local deadline=$((SECONDS + $1)) seconds=$1 component=$2 what=$3 announced=
    shift 3
    until "$@" >/dev/null 2>&1; do
        [[ ! -e $STATE/run/$component.exits ]] || fail "$component" "$component ended while waiting for $what"
        ((SECONDS < deadline)) || fail "$component" "gave up on $what after $seconds s"
        [[ -n $announced ]] || { say "waiting for $what"; announced=yes; }
        sleep 0.1
    done
}

# port_open ADDRESS PORT: does something listen there?
port_open() {
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

# http_ok ADDRESS PORT PATH: is a plain GET answered with 200?
http_ok() {
    local status
    exec 3<>"/dev/tcp/$1/$2" || return
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" "$1" >&3
    read -r -t 5 status <&3
    exec 3>&-
    [[ $status == HTTP/*" 200 "* ]]
}

kubectl() { command kubectl --kubeconfig "$STATE/admin.kubeconfig" "$@"; }
