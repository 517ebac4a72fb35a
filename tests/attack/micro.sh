#!/usr/bin/env bash
# All attacks of attack.py on a primary and a replica that have 1 GiB and one CPU each, directly and
# through nginx with the bundled configuration; beside each an innocent client. It ends with 1 if a server
# was killed, took more than RSS_MAX MiB, or failed an innocent request. As root the limits are control
# groups; otherwise the servers run without them, and it says so.
#
#   micro.sh PROGRAMS OUT    the directory with reviewsd and reviewsd-bench, and the directory for the
#                            table and the pictures
#
# TIME=20 seconds for each attack, SCALE=100 percent of the attackers, REVIEWS=1600 large reviews,
# RSS_MAX=900 MiB, ONLY=silent-readers for one attack. After a failure the logs are beside the table.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export PATH=$PATH:/usr/sbin
programs=${1:?the directory of the programs} out=${2:?the directory for the results}
time=${TIME:-20} scale=${SCALE:-100} reviews=${REVIEWS:-1600} rss_max=${RSS_MAX:-900}
memory=$((1 << 30))

work=$(mktemp -d)
pids=() cages=()
at_exit() {
    local code=$? pid cage
    for pid in "${pids[@]}"; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        timeout 20 tail --pid="$pid" --follow /dev/null || kill -KILL "$pid" 2>/dev/null || true
    done
    for cage in "${cages[@]}"; do
        rmdir "$cage" 2>/dev/null || true
    done
    if [ "$code" != 0 ]; then
        mkdir -p "$out"
        cp "$work"/*.log "$out" || true
        tail -n 5 "$work"/*.log >&2 || true
    fi
    rm -rf "$work"
    exit "$code"
}
trap at_exit EXIT

# Makes the control groups of a server, which are `mine` from then on.
limited='1 GiB and one CPU each'
cage() {
    local groups=/sys/fs/cgroup name=reviewsd-attack-$$-$1
    mine=()
    if [ "$(id -u)" != 0 ]; then
        limited='no limits, because they take root'
    elif [ -d "$groups/memory" ]; then
        mine=("$groups/memory/$name" "$groups/cpu/$name")
        mkdir "${mine[@]}"
        echo "$memory" >"$groups/memory/$name/memory.limit_in_bytes"
        echo 100000 >"$groups/cpu/$name/cpu.cfs_period_us"
        echo 100000 >"$groups/cpu/$name/cpu.cfs_quota_us"
    elif grep -q memory "$groups/cgroup.controllers" 2>/dev/null; then
        echo '+memory +cpu' >"$groups/cgroup.subtree_control"
        mine=("$groups/$name")
        mkdir "${mine[@]}"
        echo "$memory" >"$groups/$name/memory.max"
        echo '100000 100000' >"$groups/$name/cpu.max"
    else
        limited='no limits, because there are no control groups here'
    fi
    cages+=("${mine[@]}")
}

# Starts a server in its cage, and sets `pid`, `api` and `admin`.
serve() {
    local name=$1 tries dir
    shift
    cage "$name"
    : >"$work/$name.log"
    (
        for dir in "${mine[@]}"; do
            echo "$BASHPID" >"$dir/cgroup.procs"
        done
        exec "$programs/reviewsd" serve --data "$work/$name" --memory 410MiB --listen 127.0.0.1:0 \
            --admin 127.0.0.1:0 --set replication.token_file="$work/token" \
            --set net.trusted_proxies=127.0.0.1 "$@" 2>"$work/$name.log"
    ) &
    pid=$!
    pids+=("$pid")
    for tries in {1..600}; do
        api=$(sed -n 's#.*listening on http://\([^ ]*\) (api).*#\1#p' "$work/$name.log" | tail -n 1)
        admin=$(sed -n 's#.*listening on http://\([^ ]*\) (admin).*#\1#p' "$work/$name.log" | tail -n 1)
        if [ -n "$api" ] && curl --silent --fail --output /dev/null "http://$admin/readyz"; then
            return
        fi
        sleep 0.1
    done
    echo "$name is not ready after $tries looks" >&2
    return 1
}

"$programs/reviewsd-bench" gen --products 2000 --out "$work/csv" --seed 1
"$programs/reviewsd" import --csv "$work/csv" --data "$work/primary"
head -c 24 /dev/urandom | base64 >"$work/token"
chmod 600 "$work/token"
serve primary
primary=$pid primary_api=$api primary_admin=$admin
python3 "$here/attack.py" fill --url "http://$primary_api" --reviews "$reviews"
serve replica --follow "http://$primary_admin"
replica=$pid replica_api=$api

# nginx as docs/operating/nginx.md has it, with room for the connections of the attack.
sed -e "/server 10\.0\.0\.2:/s/10\.0\.0\.2:8080/$replica_api/" -e '/server 10\.0\.0\.[34]:/d' \
    -e "s/10\.0\.0\.1:8080/$primary_api/" -e "s/listen 80;/listen 127.0.0.1:PORT;/" -e '/listen \[::\]/d' \
    "$here/../../config/nginx.conf" >"$work/reviewsd.conf"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -i "s/127.0.0.1:PORT/127.0.0.1:$port/" "$work/reviewsd.conf"
user=
if [ "$(id -u)" = 0 ]; then
    user='user root;'
fi
mkdir "$work/temp"
cat >"$work/nginx.conf" <<END
$user
worker_processes 2;
worker_rlimit_nofile 20000;
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log warn;
events { worker_connections 9000; }
http {
    access_log off;
    client_body_temp_path $work/temp/body;
    proxy_temp_path $work/temp/proxy;
    fastcgi_temp_path $work/temp/fastcgi;
    uwsgi_temp_path $work/temp/uwsgi;
    scgi_temp_path $work/temp/scgi;
    include $work/reviewsd.conf;
}
END
nginx -e "$work/nginx.log" -c "$work/nginx.conf" &
pids+=("$!")
for tries in {1..100}; do
    if curl --silent --fail --output /dev/null "http://127.0.0.1:$port/products/1"; then
        break
    fi
    sleep 0.1
done

mkdir -p "$out"
table=$out/attacks.md
{
    echo "A primary and a replica with $limited, $reviews reviews of 64 KB, $time s for each attack."
    echo
    echo '| attack | way | connections | server, MiB at most | innocent client: requests | failed | p50 ms | p99 ms |'
    echo '|---|---|---|---|---|---|---|---|'
} >"$table"

failed=0
# One attack in one way; the rest are attack.py's own words.
round() {
    local attack=$1 way=$2 connections=$(($3 * scale / 100)) url=$4 watched=$5
    shift 5
    [ "${ONLY:-$attack}" = "$attack" ] || return 0
    [ "$connections" -gt 4 ] || connections=4
    python3 "$here/attack.py" "$attack" --url "$url" --connections "$connections" --seconds "$time" \
        --pid "$watched" --patience 30 --rss-max "$rss_max" --failures-max 0 \
        --svg "$out/$attack-$way.svg" --json "$work/figures" "$@" || failed=1
    python3 - "$work/figures" "$way" >>"$table" <<'END'
import json, sys
f = json.load(open(sys.argv[1]))
print(f"| {f['attack']} | {sys.argv[2]} | {f['connections']} | {f['rss_max_mib']} | {f['innocent_requests']}"
      f" | {f['innocent_failures']} | {f['innocent_p50_ms']} | {f['innocent_p99_ms']} |")
END
}

for way in direct nginx; do
    url=http://127.0.0.1:$port reader=$replica
    if [ "$way" = direct ]; then
        url=http://$primary_api reader=$primary
    fi
    round volley "$way" 16 "$url" "$reader" --count "$reviews"
    round silent-readers "$way" 4000 "$url" "$reader" --count 64 --sources 20
    round slow-readers "$way" 18 "$url" "$reader" --count 5000
    round dribble "$way" 300 "$url" "$primary"
    round silent "$way" 4100 "$url" "$reader" --sources 20
done

for pid in "$primary" "$replica"; do
    if ! kill -0 "$pid" 2>/dev/null; then
        echo "a server was killed or ended by itself" >&2
        failed=1
    fi
done
echo
cat "$table"
exit "$failed"
