#!/usr/bin/env bash
# Compares `reviewsd serve` with a bare hyper server that answers bytes of the same length, each on
# processor 0 with wrk on processor 1, in turn, and prints the share pair by pair.
#
#   bench/compare.sh DATA random|hot MEMORY [WARM_SECONDS [ROUNDS]]
#
# DATA is the data directory of an import of `reviewsd-bench gen --products 1000011`.
set -euo pipefail
cd "$(dirname "$0")/.."

data=$1 workload=$2 memory=$3 warm=${4:-30} rounds=${5:-15}
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

listens() { # waits for the address that a server says it listens at
    for _ in $(seq 100); do
        sed -n 's#.*listening on \(http://[0-9.:]*\).*#\1#p' "$1" | head -n 1 | grep . && return
        sleep 0.1
    done
    cat "$1" >&2
    return 1
}
load() { # URL SECONDS -> requests a second
    taskset -c 1 wrk -t1 -c64 -d"$2" -s "bench/wrk/$workload.lua" "$1" |
        tee "$work/wrk" | awk '/Requests\/sec/ { print $2 }'
    if grep -E 'Non-2xx|Socket errors' "$work/wrk" >&2; then exit 1; fi
}

taskset -c 0 "$bin/reviewsd" serve --data "$data" --memory "$memory" \
    --listen 127.0.0.1:0 --admin 127.0.0.1:0 2>"$work/serve.log" &
url=$(listens "$work/serve.log")
load "$url" "$warm" >/dev/null

# An answer as long as the answers are on average.
for _ in $(seq 200); do
    case $workload in
    hot) product=$((RANDOM % 10 * 1000 + 1000)) ;;
    *) product=$(((RANDOM * 32768 + RANDOM) % ${PRODUCTS:-1000011} + 1)) ;;
    esac
    curl -s "$url/reviews?product_id=$product" | wc -c
done | awk '{ sum += $1 } END { printf "%*s", sum / NR, "" }' | tr ' ' x >"$work/body"
taskset -c 0 "$bin/reviewsd-bench" floor --listen 127.0.0.1:0 --body "$work/body" --threads 1 \
    >"$work/floor.log" &
floor=$(listens "$work/floor.log")

for _ in $(seq "$rounds"); do
    bare=$(load "$floor" 1)
    ours=$(load "$url" 1)
    echo "$ours $bare" | awk '{ printf "%.2f   reviewsd %d/s, bare hyper %d/s\n", $1 / $2, $1, $2 }'
done | tee "$work/rounds"
sort -n "$work/rounds" | awk '{ share[NR] = $1 }
    END { print "median share:", share[int((NR + 1) / 2)] }'
