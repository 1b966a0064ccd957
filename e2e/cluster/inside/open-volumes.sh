#!/usr/bin/env bash
# Opens every folder that appears in FOLDER to all users: see start_volume_permissions.
#
#   open-volumes.sh FOLDER
set -euo pipefail
folder=${1:?folder to watch}

inotifywait --quiet --monitor --event create --event moved_to --format %f "$folder" | while read -r name; do
    chmod 0777 "$folder/$name"
    echo "opened $name"
done
