#!/bin/sh
# Brings one table of two SQLite databases into agreement, once, on this machine.
#
#   two-databases.sh FIRST.db SECOND.db TABLE UNIQUE_COLUMN
#
# Rows with the same value in UNIQUE_COLUMN are the same record. Both databases stay where they are; what Entente keeps beside
# them goes into a temporary folder, and its triggers are removed again at the end. Set ENTENTE to use another binary.
set -eu
[ $# -eq 4 ] || { echo "usage: $0 FIRST.db SECOND.db TABLE UNIQUE_COLUMN" >&2; exit 2; }
entente=${ENTENTE:-entente}
first=$1 second=$2 table=$3 column=$4
folder=$(mktemp -d)
server=

finish() {
    [ -z "$server" ] || { kill "$server"; wait "$server" || true; }
    for site in a b; do "$entente" --data "$folder/$site" detach app --drop-journal >&2 || true; done
    rm -rf "$folder"
}
trap finish EXIT

"$entente" --data "$folder/a" init --name First
"$entente" --data "$folder/b" init --name Second
"$entente" --data "$folder/a" attach app "sqlite:$first" --table "$table" --identity "key:$column"
"$entente" --data "$folder/b" attach app "sqlite:$second" --table "$table" --identity "key:$column"

# A password that nobody has to know.
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$folder/password"
"$entente" --data "$folder/a" user add second --role peer --password-file "$folder/password"
"$entente" --data "$folder/a" serve --listen 127.0.0.1:0 > "$folder/address" &
server=$!
until grep -q listening "$folder/address"; do sleep 0.1; kill -0 "$server"; done
url=$(sed 's/^listening on //' "$folder/address")

"$entente" --data "$folder/b" repository add first --url "$url" --user second --password-file "$folder/password"
"$entente" --data "$folder/b" resource add first "$table"
"$entente" --data "$folder/b" sync first
