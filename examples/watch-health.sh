#!/bin/sh
# For cron or a monitoring system: exit 1, and say which, when a repository has had no good run for a while.
#
#   watch-health.sh DATA_DIR
#
# Set ENTENTE to use another binary. Needs nothing but the shell; with jq, `entente --format json repository list` tells more.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DATA_DIR" >&2; exit 2; }
bad=$("${ENTENTE:-entente}" --data "$1" --format json repository list | grep -c '"health": "red"' || true)
[ "$bad" -eq 0 ] || { echo "$bad repositories have failed three times in a row; see: entente --data $1 repository list" >&2; exit 1; }
