#!/bin/sh
# A display that follows a primary: it takes everything from there, gives nothing, and never wins.
#
#   one-way-display.sh DATA_DIR DATABASE.db TABLE URL USER PASSWORD_FILE
#
# Run it once on the display. At the primary, before that:
#   entente user add USER --role peer --may pull --resources TABLE --password-file PASSWORD_FILE
# Afterwards `entente --data DATA_DIR worker` keeps the display up to date within a second. Set ENTENTE to use another binary.
set -eu
[ $# -eq 6 ] || { echo "usage: $0 DATA_DIR DATABASE.db TABLE URL USER PASSWORD_FILE" >&2; exit 2; }
entente=${ENTENTE:-entente}
data=$1 database=$2 table=$3 url=$4 user=$5 password=$6

"$entente" --data "$data" init --name "$(hostname 2>/dev/null || echo display)"
"$entente" --data "$data" attach app "sqlite:$database" --table "$table"
"$entente" --data "$data" repository add primary --url "$url" --user "$user" --password-file "$password" --accept-pushes no
"$entente" --data "$data" resource add primary "$table" --mode pull --update OTHER --conflict OTHER
"$entente" --data "$data" job add primary --every 1h --on-change
"$entente" --data "$data" sync primary
