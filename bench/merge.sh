#!/bin/bash
# What a merge costs: files of PRODUCTS products into a store that has all of them, and with one in a hundred
# changed; beside a plain import of the same files; into a directory, and into a served primary with a replica
# while a reader asks for products.
#
#   bench/merge.sh [PRODUCTS [DIRECTORY OF THE PROGRAMS [WORK DIRECTORY]]]
#
# Prints a line for each figure: seconds, and the largest resident memory.
set -euo pipefail

products=${1:-10000}
programs=${2:-target/release}
work=${3:-$(mktemp -d)}
reviewsd=$programs/reviewsd
mkdir -p "$work"
trap 'for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done; wait' EXIT

# Runs a command, and prints its seconds and its largest resident memory.
timed() {
	local name=$1
	shift
	"$reviewsd" --version >/dev/null
	python3 - "$name" "$@" <<'PYTHON'
import resource, subprocess, sys, time
begun = time.monotonic()
done = subprocess.run(sys.argv[2:], stdout=subprocess.PIPE, text=True)
seconds = time.monotonic() - begun
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
print(f"{sys.argv[1]:<44} {seconds:8.1f} s {peak:7.0f} MiB  {last}")
sys.exit(done.returncode)
PYTHON
}

# Asks for a product again and again until the file goes, and prints how long the slowest hundredth waited.
read_on() {
	python3 - "$1" "$products" "$2" <<'PYTHON'
import http.client, os, random, sys, time
host, products, going = sys.argv[1], int(sys.argv[2]), sys.argv[3]
link, times, wrong = http.client.HTTPConnection(host), [], 0
while os.path.exists(going):
    path = random.choice(["/products/%d", "/products/%d/styles", "/reviews?product_id=%d"])
    begun = time.monotonic()
    link.request("GET", path % random.randint(1, products))
    answer = link.getresponse()
    answer.read()
    times.append(time.monotonic() - begun)
    wrong += answer.status != 200
times.sort()
at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000
print(f"  readers meanwhile: {len(times)} answers, {wrong} of them not 200; "
      f"p50 {at(.5):.1f} ms, p99 {at(.99):.1f} ms, slowest {at(1):.1f} ms")
PYTHON
}

# The address that a server says in its log that it listens on.
address() {
	local line
	for _ in $(seq 600); do
		line=$(grep -o "listening on http://[^ ]* ($2)" "$1" | tail -1 || true)
		[ -n "$line" ] && break
		python3 -c 'import time; time.sleep(0.05)'
	done
	line=${line#listening on http://}
	echo "${line%% *}"
}

"$programs/reviewsd-bench" gen --products "$products" --out "$work/csv" >/dev/null
rm -rf "$work/changed" "$work/data" "$work/plain" "$work/replica"
cp -r "$work/csv" "$work/changed"
# Each hundredth product has another name and its first style another stock.
awk -F, -v OFS=, 'NR > 1 && $1 % 100 == 0 { $2 = "\"Renamed\"" } { print }' "$work/csv/product.csv" >"$work/changed/product.csv"
awk -F, -v OFS=, 'NR > 1 && $1 % 100 == 0 { $4 = 7 } { print }' "$work/csv/skus.csv" >"$work/changed/skus.csv"

timed "import" "$reviewsd" import --csv "$work/csv" --data "$work/data" --quiet
timed "merge of the same files" "$reviewsd" import --merge --csv "$work/csv" --data "$work/data" --quiet
timed "the same with --prune" "$reviewsd" import --merge --prune --csv "$work/csv" --data "$work/data" --quiet

(umask 077 && echo "a-token-for-this-run-alone" >"$work/token")
cat >"$work/primary.toml" <<TOML
[replication]
token_file = "$work/token"
[replica]
token_file = "$work/token"
TOML
"$reviewsd" serve --data "$work/data" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --config "$work/primary.toml" 2>"$work/primary.log" &
admin=$(address "$work/primary.log" admin)
api=$(address "$work/primary.log" api)
"$reviewsd" serve --data "$work/replica" --follow "http://$admin" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --config "$work/primary.toml" 2>"$work/replica.log" &
replica=$(address "$work/replica.log" admin)
seq_of() { curl -s "http://$1/replication" | python3 -c 'import json,sys; print(json.load(sys.stdin)["seq"])' 2>/dev/null || echo none; }
until [ "$(seq_of "$replica")" = "$(seq_of "$admin")" ]; do python3 -c 'import time; time.sleep(0.1)'; done

merge_served() {
	touch "$work/going"
	read_on "$api" "$work/going" >"$work/readers" &
	local reader=$!
	timed "$1" "$reviewsd" import --merge --csv "$2" --server "http://$admin" --quiet --rejects "$work/rejects.csv"
	rm "$work/going"
	wait "$reader"
	cat "$work/readers"
	local begun=$SECONDS
	until [ "$(seq_of "$replica")" = "$(seq_of "$admin")" ]; do python3 -c 'import time; time.sleep(0.1)'; done
	echo "  the replica is at $(seq_of "$replica"), as its primary is, $((SECONDS - begun)) s after"
}
merge_served "served: merge of the same files" "$work/csv"
merge_served "served: merge of 1 in 100 changed" "$work/changed"
merge_served "served: the same again" "$work/changed"
