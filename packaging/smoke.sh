#!/usr/bin/env bash
# Imports a made-up shop with an installed program, serves it, and asks: that the program runs on this system.
#
# usage: smoke.sh REVIEWSD REVIEWSD_BENCH

set -euo pipefail
reviewsd=$1 bench=$2
work=$(mktemp -d)
server=
at_exit() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap at_exit EXIT

"$reviewsd" --version
"$bench" gen --products 500 --out "$work/csv" --seed 1 >/dev/null
"$reviewsd" import --csv "$work/csv" --data "$work/data" --quiet >/dev/null
"$reviewsd" serve --data "$work/data" --config /dev/null --listen 127.0.0.1:0 --admin 127.0.0.1:0 2>"$work/log" &
server=$!
api=
until [ -n "$api" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
    api=$(sed -n 's#.*listening on \(http://[^ ]*\) (api).*#\1#p' "$work/log")
done
curl --silent --show-error --fail --max-time 10 "$api/reviews?product_id=1" | grep -q '^{"product":"1","page":0,'
kill -TERM "$server"
wait "$server"
server=
echo 'it imports, serves and ends'
