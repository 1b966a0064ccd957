# shellcheck shell=bash
# Reads the sensor's readings out of logs: its own, and the site broker's. Sourced, never run.

# readings: of each reading on standard input its sequence number and temperature, "12 25.31", in the order of the input.
# The sensor writes its members in another order than the broker, and neither has nested objects below `machine`.
readings() {
    sed -n 's/.*"machine": *{[^}]*"temperature": *\([-0-9.]*\)[^}]*}.*"sequence": *\([0-9][0-9]*\).*/\2 \1/p'
}

# above LIMIT, not_above LIMIT: those readings whose temperature is, or is not.
above() { awk -v limit="$1" '$2 > limit'; }
not_above() { awk -v limit="$1" '$2 <= limit'; }

# lost SENT ARRIVED: readings in the file SENT that are not in the file ARRIVED although a later one is.
# What comes after the last arrival is still under way.
lost() {
    awk 'NR == FNR { arrived[$0]; next }
        $0 in arrived { for (i = 0; i < waiting; i++) print held[i]; waiting = 0; next }
        { held[waiting++] = $0 }' "$2" "$1"
}

# out_of_order: readings on standard input whose first arrival comes after a later one's. A repetition is no disorder:
# delivery is at least once.
out_of_order() { awk '!seen[$1]++ { if ($1 + 0 < last + 0) print; else last = $1 }'; }
