#!/usr/bin/env bash
# The package on a machine: installs it in a bare Debian 12 that systemd has booted in a container, and
# goes through its life there: import, start, a primary that is lost, kill, hang, full disk, restarts and
# upgrades under load, removal, purge. Three more machines are a primary and two replicas behind nginx, where
# the runbooks are followed. The first difference from what the documents promise ends it with 1.
#
# usage: booted.sh DEB REVIEWSD_BENCH TESTS CACHE
#   DEB             the package
#   REVIEWSD_BENCH  the program that makes up a shop
#   TESTS           the binary of the integration tests, which has the load in it
#   CACHE           directory in which the bare Debian is kept for the next run
#
# Takes root, debootstrap and systemd-nspawn; where it cannot run it says "SKIPPED" and why, and ends
# with 0.

set -euo pipefail
deb=$1 bench=$2 tests=$3 cache=$4
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
# shellcheck source=systemd/tests/documented.sh
. "$here/documented.sh"
restarts=50

skip() {
    printf 'SKIPPED: %s\n' "$*"
    exit 0
}
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}
step() {
    printf -- '--- %s (%s s)\n' "$*" "$SECONDS"
}

[ "$(id -u)" = 0 ] || skip 'booting a container takes root'
for tool in debootstrap systemd-nspawn nsenter curl ip; do
    command -v "$tool" >/dev/null || skip "there is no $tool (apt-get install debootstrap systemd-container curl iproute2)"
done

work=$(mktemp -d)
# The machines by name: their directories, their first processes, and what runs them.
declare -A trees=() inits=() containers=()
tree= init= load=
# The hierarchies of control groups that systemd uses.
groups=()
for at in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ ! -e "$at/cgroup.procs" ] || groups+=("$at")
done
# Makes a machine the one that is worked on.
on() {
    tree=${trees[$1]} init=${inits[$1]}
}
# Ends a machine as a power cut does: with its first process the container ends, whatever it is doing.
lose() {
    local container=${containers[$1]}
    [ -z "${inits[$1]}" ] || kill -KILL "${inits[$1]}" 2>/dev/null || true
    timeout 20 tail --pid="$container" --follow /dev/null || kill -KILL "$container" 2>/dev/null || true
    wait "$container" 2>/dev/null || true
    inits[$1]=
}
at_exit() {
    local code=$? name
    if [ "$code" != 0 ] && [ -n "$init" ]; then
        inside systemctl --no-pager --full status 'reviewsd*' >&2 || true
        inside journalctl --no-pager --lines 60 --unit reviewsd --unit 'reviewsd-replica@*' >&2 || true
        [ ! -e "$work/load" ] || tail -n 40 "$work/load" >&2
    fi
    [ -z "$load" ] || kill -KILL "$load" 2>/dev/null || true
    for name in "${!containers[@]}"; do
        lose "$name"
    done
    for at in "${groups[@]}"; do
        find "$at" -depth -type d -path "$at/booted-$$-*" -exec rmdir {} + 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap at_exit EXIT

step 'a bare Debian 12'
base=$cache/bookworm-nginx
if ! [ -d "$base" ]; then
    mkdir -p "$cache"
    rm -rf "$base.new"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,openssl bookworm "$base.new" >"$work/debootstrap" ||
        { tail "$work/debootstrap" >&2; rm -rf "$base.new"; skip 'debootstrap cannot make a Debian here'; }
    rm -f "$base.new"/var/cache/apt/archives/*.deb
    # The container has no network to fetch the packages from that it is to install.
    chroot "$base.new" apt-get install --yes --download-only nginx-light >"$work/debootstrap" 2>&1 ||
        { tail "$work/debootstrap" >&2; rm -rf "$base.new"; skip 'the packages of nginx cannot be fetched here'; }
    mv "$base.new" "$base"
fi
inside() {
    nsenter --target "$init" --mount --uts --ipc --net --pid --root -- \
        env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
# Waits until a command succeeds, at most so many seconds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "not in time: $*"
        sleep 0.1
    done
}
is_up() {
    [ "$(inside systemctl is-system-running 2>/dev/null)" = running ]
}
# Boots a machine, a new one if there is none of that name, with a network of its own, so that its ports are
# nobody else's.
boot() {
    local name=$1 container
    if [ -z "${trees[$name]:-}" ]; then
        trees[$name]=$work/$name
        cp -a "$base" "${trees[$name]}"
    fi
    # Each within a group of processes of its own, which its systemd takes for the whole machine.
    for at in "${groups[@]}"; do
        mkdir -p "$at/booted-$$-$name"
    done
    # shellcheck disable=SC2016 # They are for the inner shell.
    bash -c 'name=$1 tree=$2; shift 2; for at; do echo $$ >"$at/$name/cgroup.procs"; done
        exec systemd-nspawn --directory "$tree" --boot --register=no --keep-unit --console=pipe --private-network' \
        boot "booted-$$-$name" "${trees[$name]}" "${groups[@]}" >"$work/console-$name" 2>&1 </dev/null &
    container=$!
    containers[$name]=$container inits[$name]=
    for _ in {1..100}; do
        inits[$name]=$(pgrep --parent "$container" --oldest || true)
        [ -z "${inits[$name]}" ] || break
        kill -0 "$container" 2>/dev/null || break
        sleep 0.1
    done
    [ -n "${inits[$name]}" ] || { cat "$work/console-$name" >&2; skip 'systemd-nspawn cannot start a container here'; }
    on "$name"
    for _ in {1..300}; do
        ! is_up || break
        sleep 0.1
    done
    is_up || { tail "$work/console-$name" >&2; inside systemctl --failed >&2 || true; skip 'the container does not come up here'; }
}

step 'boot'
boot front

api=http://127.0.0.1:8080 admin=http://127.0.0.1:8081
property() {
    inside systemctl show --property "$1" --value "${2:-reviewsd.service}"
}
# A property must have a value, now.
expect() {
    local found
    found=$(property "$1" "${3:-reviewsd.service}")
    [[ $found == $2 ]] || fail "$1 of ${3:-reviewsd.service} is '$found' instead of '$2'"
}
has() {
    [[ $(property "$1") == $2 ]]
}
ask() {
    local status=$1 url=$2 found
    shift 2
    found=$(nsenter --target "$init" --net -- curl --silent --show-error --max-time 30 --output "$work/body" \
        --write-out '%{http_code}' "$@" "$url") || fail "no answer to $url"
    [ "$found" = "$status" ] || fail "$url: status $found instead of $status: $(head -c 300 "$work/body")"
}
refuses() {
    local code=0
    nsenter --target "$init" --net -- curl --silent --max-time 5 "$1" >/dev/null || code=$?
    [ "$code" = 7 ] || fail "somebody listens at $1 (curl ended with $code)"
}
said_since() {
    inside journalctl --no-pager --output cat --since "@$1" --unit reviewsd.service >"$work/journal"
    grep -qE -- "$2" "$work/journal"
}
said() {
    said_since "$1" "$2" || fail "the journal does not say '$2'"
}
# The command must not succeed.
no() {
    ! "$@" >"$work/no" 2>&1 || fail "this succeeded: $*: $(cat "$work/no")"
}

# Runs a block of a page as it stands, by root on a terminal in the directory $place, where it leaves its
# files. The first command that fails ends the test. What it says is in $output.
ran=
place=/root/documented
# What the reader types while it runs.
typed=/dev/null
documented() {
    begun "$@"
    on_terminal <"$typed" >"$output" 2>&1 || does_not_work
}
# The same of a block whose last command serves until it is ended, as soon as a URL is answered.
declare -A terminals=() servers=()
served() {
    local url=$3 terminal
    begun "$@"
    mkfifo "$output.keys"
    exec {terminal}<>"$output.keys"
    on_terminal <&"$terminal" >"$output" 2>&1 &
    terminals[$url]=$terminal servers[$url]=$!
    for _ in {1..300}; do
        ! answers "$url" || return 0
        kill -0 "${servers[$url]}" 2>/dev/null || does_not_work
        sleep 0.1
    done
    does_not_work
}
# Presses Ctrl-C there, after which the block must end with 0.
interrupted() {
    printf '\003' >&"${terminals[$1]}"
    local code=0
    wait "${servers[$1]}" || code=$?
    [ "$code" = 0 ] || fail "what served $1 ended with $code after Ctrl-C"
    refuses "$1"
}
begun() {
    page=$1 nth=$2
    ran+="$page|$nth"$'\n'
    commands=/srv/block-${#ran} output=$work/said-${#ran}
    block "$page" "$nth" >"$tree$commands"
    [ -s "$tree$commands" ] || fail "$page has no block $nth"
    inside mkdir -p "$place"
}
on_terminal() {
    # Without a terminal nothing is edited.
    inside env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb SYSTEMD_PAGER=cat \
        SYSTEMD_EDITOR=/usr/local/bin/editor CURL_HOME=/root \
        script --quiet --return --command "cd $place && exec bash -eo pipefail $commands" /dev/null
}
does_not_work() {
    cat "$output" >&2
    fail "block $nth of $page does not work: $(cat "$tree$commands")"
}
# The last block must say what its page shows. With `alike` all numbers are.
as_shown() {
    local found line numbers=${1:-}
    plain() {
        tr -d '\r' | if [ -n "$numbers" ]; then sed 's/[0-9][0-9]*/0/g'; else cat; fi
    }
    found=$(plain <"$output")
    while read -r line; do
        # shellcheck disable=SC2053 # It is a pattern.
        [[ $found == *$line* ]] || fail "block $nth of $page does not say '$line', but: $found"
    done < <(shown "$page" "$nth" | plain)
}
answers() {
    nsenter --target "$init" --net -- curl --silent --fail --max-time 5 "$1" >/dev/null
}
# What the reader is to enter, by the file that an editor is opened for.
editor() {
    printf '#!/bin/sh\nset -e\n%s\n' "$1" >"$tree/usr/local/bin/editor"
    chmod 755 "$tree/usr/local/bin/editor"
}

step 'install'
installed() {
    cp "$deb" "$tree/root/reviewsd.deb"
    # `make deb` was run before this test; what it made is laid where it makes it.
    printf '%s\n' '#!/bin/sh' \
        '[ "$*" = deb ] && exec install -D -m 644 /root/reviewsd.deb target/debian/reviewsd_0_test.deb' \
        >"$tree/usr/local/bin/make"
    chmod 755 "$tree/usr/local/bin/make"
    documented docs/operating/install 1
}
installed
# What the help names is there.
inside reviewsd help serve | grep -oE '/usr/share/doc/reviewsd/[^ ]+' >"$work/named"
while read -r named; do
    inside test -s "$named" || fail "the package has no $named"
done <"$work/named"
for unit in reviewsd.service reviewsd.socket reviewsd-admin.socket; do
    [ "$(inside systemctl is-enabled "$unit")" = enabled ] || fail "$unit is not enabled"
    expect ActiveState active "$unit"
done
expect Type notify
expect SubState running
expect StatusText "Serving $api (api), $admin (admin)"
expect Result success
owner=$(inside stat --format '%U:%G %a' /var/lib/reviewsd)
[ "$owner" = 'reviewsd:reviewsd 700' ] || fail "the data directory belongs to $owner"
said 0 "listening on $api"
ask 200 $api/readyz
ask 200 $admin/readyz
ask 404 $api/products/1

step 'import, as the install page says'
"$bench" gen --products 2000 --out "$tree/srv/csv" --seed 1 >/dev/null
chmod -R a+rX "$tree/srv/csv"
inside systemctl stop reviewsd.socket
expect ActiveState inactive
expect ActiveState inactive reviewsd-admin.socket
refuses $api/readyz
refuses $admin/readyz
documented docs/operating/install 3
expect ActiveState active reviewsd.socket
expect ActiveState active reviewsd-admin.socket
ask 200 $api/products/1
review='{"product_id":2,"rating":5,"summary":"Booted","body":"It is there.","recommend":true,"name":"pine","email":"pine@example.org"}'
ask 201 $api/reviews --data "$review"
others=$(inside find /var/lib/reviewsd -not -user reviewsd)
[ -z "$others" ] || fail "not the service's own: $others"

step 'the commands of one machine'
documented docs/using/api 1
as_shown
documented docs/operating/configuration 1
documented docs/operating/new-installation 1
as_shown
documented docs/operating/install 4
documented docs/operating/maintenance 1
documented docs/operating/maintenance 2
documented docs/operating/maintenance 3
documented docs/operating/maintenance 4
echo fail >"$tree/root/.curlrc"
documented docs/operating/moderation 1
rm "$tree/root/.curlrc"
documented docs/operating/backups 1
served docs/operating/backups 3 http://127.0.0.1:9000/readyz
interrupted http://127.0.0.1:9000/readyz
documented docs/operating/replicas 4
inside cp /etc/reviewsd/reviewsd.toml /root/kept.toml
inside sh -c 'cd /root/documented && install -m 644 ca.pem node.pem /etc/reviewsd && install -m 640 -g reviewsd node.key /etc/reviewsd'
inside sed -i -e 's/^# cert_file = /cert_file = /' -e 's/^# key_file = /key_file = /' /etc/reviewsd/reviewsd.toml
inside systemctl restart reviewsd
documented docs/operating/replicas 5
grep -q '^store ' "$output" || fail "no table over TLS: $(cat "$output")"
inside cp /root/kept.toml /etc/reviewsd/reviewsd.toml
inside systemctl restart reviewsd
inside rm -r /root/documented /etc/reviewsd/ca.pem /etc/reviewsd/node.pem /etc/reviewsd/node.key

step 'runbook: erase a person'
ask 201 $api/reviews --data "${review//pine@/ana@}"
documented docs/runbooks/erase-a-person 1
grep -qF 'ana@example.org' "$output" || fail "what is held is not shown: $(cat "$output")"
echo y >"$work/yes"
typed=$work/yes
documented docs/runbooks/erase-a-person 2
typed=/dev/null
documented docs/runbooks/erase-a-person 3
ask 404 $api/reviews/5
documented docs/runbooks/erase-a-person 4
inside reviewsd find --server $admin --email ana@example.org --json >"$work/found"
[ ! -s "$work/found" ] || fail "not all is erased: $(cat "$work/found")"

step 'a shop served by hand, as the quick start says'
inside systemctl stop reviewsd.socket
place=/srv/shop
# What `make demo` makes.
"$bench" gen --products 10000 --out "$tree$place/csv" --seed 1 >/dev/null
install -D "$bench" "$tree$place/target/release/reviewsd-bench"
served docs/using/your-own-csvs 1 $api/readyz
documented README 2
as_shown
documented docs/using/quick-start 2
as_shown
are_right() {
    grep -qE '^bodies +[1-9][0-9,]* checked, 0 wrong' "$output" || fail "the answers are not right: $(cat "$output")"
}
documented docs/using/quick-start 3
are_right
documented docs/reference/benchmarks 2
are_right
interrupted $api/readyz
inside rm -r "$place"
inside systemctl start reviewsd

step 'a primary, two replicas and nginx, each on a machine of its own'
at() {
    local name=$1
    shift
    nsenter --target "${inits[$name]}" --net -- "$@"
}
# Joins a machine to the network that the machine of nginx has.
plug() {
    at front ip link add "to-$1" type veth peer name eth0 netns "${inits[$1]}"
    at front ip link set "to-$1" master shop up
    at "$1" ip address add "10.0.0.$1/24" dev eth0
    at "$1" ip link set eth0 up
}
at front ip link add shop type bridge
at front ip address add 10.0.0.10/24 dev shop
at front ip link set shop up
place=/root/documented
for number in 1 2 3; do
    boot $number
    plug $number
    installed
done
primary=http://10.0.0.1:8080
# Its data are on a volume that may fail to be mounted.
on 1
inside systemctl stop reviewsd.socket
inside sh -c 'rm -r /var/lib/reviewsd/* && install -d -m 700 -o reviewsd -g reviewsd /srv/volume'
inside mount --bind /srv/volume /var/lib/reviewsd
inside systemctl start reviewsd
cp -r "${trees[front]}/srv/csv" "$tree/srv/csv"
documented docs/operating/install 3
editor 'case $1 in
    */reviewsd.toml) sed -i "s/^# token_file = /token_file = /" "$1" ;;
    *admin.socket*) printf "[Socket]\nListenStream=\nListenStream=10.0.0.1:8081\n" >"$1" ;;
    *) printf "[Socket]\nListenStream=\nListenStream=10.0.0.1:8080\n" >"$1" ;;
esac'
documented docs/operating/replicas 1
ask 200 http://10.0.0.1:8081/readyz
refuses $admin/readyz
unit=reviewsd-replica@1.service
for number in 2 3; do
    on $number
    cp -p "${trees[1]}/etc/reviewsd/replication.token" "$tree/etc/reviewsd/"
    inside chown root:reviewsd /etc/reviewsd/replication.token
    editor 'sed -i -e "s/^listen = .*/listen = \"10.0.0.'$number':8080\"/" -e "s/^admin = .*/admin = \"10.0.0.'$number':8081\"/" "$1"
grep -q "^follow = \"http://10.0.0.1:8081\"" "$1" && grep -q "^primary = \"http://10.0.0.1:8080\"" "$1"'
    documented docs/operating/replicas 2
    expect Type notify "$unit"
    serves() {
        [[ $(property StatusText "$unit") == "Serving http://10.0.0.$number:8080 (api), http://10.0.0.$number:8081 (admin)" ]]
    }
    within 30 serves
    refuses $api/readyz
    ask 200 http://10.0.0.$number:8080/products/1
    ask 405 http://10.0.0.$number:8080/reviews --data "$review"
    owner=$(inside stat --format '%U:%G %a' /var/lib/reviewsd-replica-1)
    [ "$owner" = 'reviewsd:reviewsd 700' ] || fail "the replica's data directory belongs to $owner"
done
documented docs/operating/replicas 3
grep -q '"role":"replica"' "$output" && grep -q '"role":"primary"' "$output" || fail "no roles: $(cat "$output")"
# A failure that a retry does not fix is not retried.
inside sh -c 'echo "[replica] folow = 1" >/etc/reviewsd/replica-2.toml'
no inside systemctl start reviewsd-replica@2
expect ExecMainStatus 2 reviewsd-replica@2.service
expect NRestarts 0 reviewsd-replica@2.service
inside systemctl reset-failed reviewsd-replica@2
inside rm /etc/reviewsd/replica-2.toml

on front
place=/srv/nginx
inside install -d "$place"
cp -r "$root/config" "$tree$place/"
editor 'sed -i -e "s/server_name .*;/server_name shop.test;/" -e "/server 10.0.0.4:/d" "$1"'
typed=$work/yes
documented docs/operating/nginx 1
typed=/dev/null
place=/root/documented
# nginx goes on in its old ways for a moment after it got the signal to reload.
by_nginx() {
    within 10 nginx_says "$@"
}
nginx_says() {
    local status=$1 path=$2 found
    shift 2
    found=$(at front curl --silent --max-time 20 --output /dev/null --write-out '%{http_code}' \
        --resolve shop.test:80:127.0.0.1 "$@" "http://shop.test$path") || true
    [ "$found" = "$status" ]
}
list='/reviews?product_id=2'
by_nginx 200 "$list"
by_nginx 201 /reviews --data "$review"
# The replicas follow a primary, which has all that it was sent.
follow() {
    local of=$1 number
    shift
    for number in "$@"; do
        follows() {
            at "$number" curl --silent --max-time 5 "http://10.0.0.$number:8081/replication" >"$work/body" &&
                grep -q "\"primary\":\"http://10.0.0.$of:8081\",\"connected\":true" "$work/body"
        }
        within 60 follows
    done
}
follow 1 2 3

step 'runbook: primary came back empty'
empty() {
    on 1
    inside systemctl stop reviewsd.socket
    inside umount /var/lib/reviewsd
    inside systemctl start reviewsd
    ask 503 $primary/reviews --data "$review"
    documented docs/runbooks/primary-came-back-empty 1
    grep -qF 'the data directory was empty' "$output" || fail "why no writes are taken is not said: $(cat "$output")"
    documented docs/runbooks/primary-came-back-empty 2
}
empty
# The volume was not mounted. Nor does systemd know of it yet, which would mount it unasked.
inside cp /etc/fstab /root/kept.fstab
echo '/srv/volume /var/lib/reviewsd none bind,noauto 0 0' | inside tee -a /etc/fstab >/dev/null
documented docs/runbooks/primary-came-back-empty 3
inside cp /root/kept.fstab /etc/fstab
follow 1 2 3
by_nginx 201 /reviews --data "$review"
# The empty store is the right one.
empty
served docs/runbooks/primary-came-back-empty 4 $api/readyz
interrupted $api/readyz
documented docs/runbooks/primary-came-back-empty 5
for number in 2 3; do
    on $number
    documented docs/runbooks/primary-came-back-empty 6
done
follow 1 2 3
for name in 2 3; do
    on $name
    inside sh -c 'rm -r /var/lib/reviewsd-replica-1/diverged-*' || fail 'the replica did not keep its own store'
done
by_nginx 201 /reviews --data "$review"

step 'runbook: primary lost'
# The last write is one that no replica was sent.
for number in 2 3; do
    on $number
    inside systemctl stop "$unit"
done
on 1
ask 201 $primary/reviews --data "${review/Booted/Lost}"
lose 1
for number in 2 3; do
    on $number
    inside systemctl start "$unit"
done
documented docs/runbooks/primary-lost 2
as_shown alike
by_nginx 200 "$list"
by_nginx 503 /reviews --data "$review"
on 2
documented docs/runbooks/primary-lost 3
on front
documented docs/runbooks/primary-lost 4
by_nginx 201 /reviews --data "$review"
on 3
documented docs/runbooks/primary-lost 5
follow 2 3
documented docs/runbooks/primary-lost 6
# The old machine comes back, and its server starts as if it were the primary.
boot 1
plug 1
documented docs/runbooks/primary-lost 1
documented docs/runbooks/primary-lost 7
follow 2 1 3
on front
documented docs/runbooks/primary-lost 8
by_nginx 200 "$list"
by_nginx 201 /reviews --data "$review"
grep -q 'server 10.0.0.1:8080 max_fails' "$tree/etc/nginx/conf.d/reviewsd.conf" || fail 'the old machine is not among the replicas'

step 'runbook: replica diverged'
on 1
documented docs/runbooks/replica-diverged 1
documented docs/runbooks/replica-diverged 2
documented docs/runbooks/replica-diverged 3
documented docs/runbooks/replica-diverged 4
grep -q '^< .*Lost' "$output" || fail "what the lost primary alone had is not found: $(cat "$output")"
documented docs/runbooks/replica-diverged 5
for number in 1 2 3; do
    lose $number
done
containers=([front]=${containers[front]})
on front
inside systemctl stop nginx

step 'sandbox'
pid=$(inside cat "/sys/fs/cgroup$(property ControlGroup)/cgroup.procs" 2>/dev/null || property MainPID)
[ "$pid" = "$(property MainPID)" ] || fail "the service has other processes than its own: $pid"
process() {
    inside grep -P "^$1:\s+$2\$" "/proc/$pid/status" >/dev/null ||
        fail "the process has not $1 $2: $(inside grep "^$1:" "/proc/$pid/status")"
}
process NoNewPrivs 1
process Seccomp 2
process CapEff 0000000000000000
process CapBnd 0000000000000000
limits=$(inside cat "/proc/$pid/limits")
grep -qE "^Max core file size +0 +0 " <<<"$limits" || fail "it may dump core: $limits"
# If the machine does not allow so many, as many as it allows.
files=$(awk '/^Max open files/ { print $5 }' "/proc/$init/limits")
[ "$files" -lt 65536 ] || files=65536
grep -qE "^Max open files +$files +$files " <<<"$limits" || fail "it may not open $files files: $limits"
total=$(($(sed -n "s/^MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo) * 1024))
max=$(property MemoryMax)
[[ $max =~ ^[0-9]+$ ]] && [ "$max" -lt "$total" ] && [ "$max" -gt $((total / 2)) ] || fail "MemoryMax is $max of $total"
# A program in the place of the server, which tries what the server must not be able to do.
cp "$here/probe.sh" "$tree/usr/local/bin/probe"
sed -e 's#^ExecStart=.*#ExecStart=/usr/local/bin/probe#' -e 's/^Type=.*/Type=oneshot/' -e '/^Restart/d' -e '/^Sockets=/d' \
    -e '/^Watchdog/d' -e '/^Requires=/d' "$here/../reviewsd.service" >"$tree/run-probe.service"
inside cp /run-probe.service /run/systemd/system/probe.service
inside systemctl daemon-reload
inside systemctl start probe.service || { inside journalctl --no-pager --output cat --unit probe >&2; fail 'the sandbox has holes'; }

step 'backed up by the night and all the time, and restored'
for unit in reviewsd-backup.timer reviewsd-backup-follow.service; do
    [ "$(inside systemctl is-enabled "$unit" || true)" = disabled ] || fail "$unit is enabled unasked"
done
no inside systemctl start reviewsd-backup.service
inside journalctl --no-pager --output cat --unit reviewsd-backup.service | grep -qF 'set backup.to' ||
    fail 'a backup without a target does not say what is missing'
inside systemctl stop reviewsd-backup.service
# One that may work later is tried again, and the journal says when.
inside sed -i 's|^# to = .*|to = "/usr/none"|' /etc/reviewsd/reviewsd.toml
no inside systemctl start reviewsd-backup.service
inside journalctl --no-pager --output cat --unit reviewsd-backup.service | grep -qF 'It is tried again in five minutes' ||
    fail 'a backup that failed does not say that it is tried again'
inside systemctl stop reviewsd-backup.service
inside sed -i 's|^to = .*|to = "/var/lib/reviewsd-backup"|' /etc/reviewsd/reviewsd.toml
documented docs/operating/backups 2
inside systemctl enable --quiet --now reviewsd-backup-follow.service
expect ActiveState active reviewsd-backup.timer
ask 201 $api/reviews --data "$review"
shipped() {
    ask 200 $admin/replication
    seq=$(sed 's/.*"seq":\([0-9]*\).*/\1/' "$work/body")
    grep -q "\"backups\":\[{[^]]*\"acked_seq\":$seq[,}]" "$work/body"
}
within 30 shipped
inside runuser -u reviewsd -- reviewsd restore --data /tmp/drill --quiet >"$work/restored"
grep -qE "up to [0-9]+\.$seq " "$work/restored" || fail "not all was restored: $(cat "$work/restored")"
[ "$(inside stat --format '%U %a' /var/lib/reviewsd-backup)" = 'reviewsd 700' ] || fail 'others can read the backups'

step 'runbook: restore'
documented docs/runbooks/restore 1
documented docs/runbooks/restore 2
documented docs/runbooks/restore 3
documented docs/runbooks/restore 4
no inside sh -c 'ls /var/lib/reviewsd/*'
documented docs/runbooks/restore 5
documented docs/runbooks/restore 6
grep -q '"epoch":2' "$output" || fail "the restored store begins no epoch: $(cat "$output")"
ask 200 $api/products/1
ask 201 $api/reviews --data "$review"
# What is committed from now on is shipped again.
within 60 shipped
documented docs/runbooks/restore 7
inside rm /etc/reviewsd/backup.env

step 'killed'
# Sooner than in the unit, so that this does not take long.
inside mkdir -p /run/systemd/system/reviewsd.service.d
printf '[Service]\nWatchdogSec=3s\n' | inside tee /run/systemd/system/reviewsd.service.d/soon.conf >/dev/null
inside systemctl daemon-reload
inside systemctl restart reviewsd
now=$(date +%s)
inside systemctl kill --signal KILL reviewsd
within 30 has NRestarts 1
ask 200 $api/products/1
expect SubState running

step 'hung'
pid=$(property MainPID)
inside systemctl kill --signal STOP reviewsd
within 60 has NRestarts 2
said "$now" 'Watchdog timeout'
ask 200 $api/products/1
[ "$(property MainPID)" != "$pid" ] || fail 'the process that hung is still there'

step 'runbook: disk full'
inside systemctl stop reviewsd.socket
inside mount -t tmpfs -o size=256m,mode=0700,uid="$(inside id -u reviewsd)",gid="$(inside id -g reviewsd)" small /var/lib/reviewsd
inside cp /etc/reviewsd/reviewsd.toml /root/kept.toml
inside sed -i -e 's/^free_space_min = .*/free_space_min = "1B"/' /etc/reviewsd/reviewsd.toml
inside systemctl start reviewsd
ask 201 $api/reviews --data "$review"
now=$(date +%s)
before=$(property NRestarts)
fill() {
    inside dd if=/dev/zero of=/var/lib/reviewsd/filling bs=64K oflag=append conv=notrunc status=none 2>/dev/null || true
}
fill
# Large ones: the log has its room on the disk before it needs it.
words=$(printf '漢%.0s' {1..9900})
printf '%s' "$review" | sed "s/\"body\":\"[^\"]*\"/\"body\":\"$words\"/" >"$work/large"
[ "$(wc -c <"$work/large")" -gt 29000 ] || fail 'the large review is small'
status=201
for _ in {1..5000}; do
    status=$(nsenter --target "$init" --net -- curl --silent --max-time 30 --output /dev/null --write-out '%{http_code}' \
        "$api/reviews" --data @"$work/large") || true
    [ "$status" = 201 ] || break
done
[[ $status == 50[37] ]] || fail "the disk is full, and a review is answered $status"
restarted() {
    [ "$(property NRestarts)" -gt "$before" ]
}
# Reads go on, after a start as well.
read_only() {
    within 30 said_since "$now" 'writes are rejected, and reads go on'
    ask 507 $api/reviews --data "$review"
    ask 200 "$api/reviews?product_id=2"
    ask 200 $admin/readyz
}
read_only
[ "$(property NRestarts)" = "$before" ] || fail 'a full disk ended the server'
now=$(date +%s)
inside systemctl kill --signal KILL reviewsd
# What the process alone kept on the disk is free now.
fill
within 30 restarted
read_only
documented docs/runbooks/disk-full 1
no grep -q '"read_only":null' "$output"
documented docs/runbooks/disk-full 2
grep -q '/var/lib/reviewsd/filling' "$output" || fail "what takes the space is not shown: $(cat "$output")"
before=$(property NRestarts)
inside rm /var/lib/reviewsd/filling
within 30 restarted
within 30 said_since "$now" 'has space again'
within 30 answers $admin/readyz
documented docs/runbooks/disk-full 3
grep -q '"read_only":null' "$output" || fail "it is still read-only: $(cat "$output")"
ask 201 $api/reviews --data "$review"
inside systemctl stop reviewsd.socket
inside umount /var/lib/reviewsd
inside cp /root/kept.toml /etc/reviewsd/reviewsd.toml
inside systemctl start reviewsd
ask 200 $api/products/1

step "$restarts restarts and two upgrades under load"
now=$(date +%s)
dpkg-deb --raw-extract "$deb" "$work/next"
version=$(dpkg-deb --field "$deb" Version)
sed -i "s/^Version: .*/Version: $version+next/" "$work/next/DEBIAN/control"
dpkg-deb --build -Zgzip --root-owner-group "$work/next" "$tree/root/next.deb" >/dev/null
REVIEWSD_LOAD_AT=127.0.0.1:8080 REVIEWSD_LOAD_UNTIL=$work/over nsenter --target "$init" --net -- \
    "$tests" --ignored --exact --nocapture restarts::a_server_elsewhere_fails_no_request >"$work/load" 2>&1 </dev/null &
load=$!
within 30 test -e "$work/over.begun"
for ((n = 1; n <= restarts; n++)); do
    inside systemctl restart reviewsd
    sleep 0.1
done
for package in next reviewsd; do
    pid=$(property MainPID)
    inside dpkg --install "/root/$package.deb" >"$work/dpkg" 2>&1 || { cat "$work/dpkg"; fail 'dpkg does not upgrade it'; }
    [ "$(property MainPID)" != "$pid" ] || fail 'the upgrade did not restart the server'
    sleep 0.5
done
# Long enough for a false alarm of a watchdog that waits for a tenth of its usual time.
sleep 5
touch "$work/over"
code=0
wait "$load" || code=$?
load=
[ "$code" = 0 ] || fail "requests failed"
grep 'answered' "$work/load"
within 10 has NFileDescriptorStore 0
said "$now" 'Stopped reviewsd'
! said_since "$now" 'Watchdog timeout' || fail 'the watchdog killed a server that was merely busy'
expect NRestarts 0
inside rm /run/systemd/system/reviewsd.service.d/soon.conf
inside systemctl daemon-reload

step 'remove, install again, purge'
inside dpkg --remove reviewsd >"$work/dpkg" 2>&1
refuses $api/readyz
[ -e "$tree/etc/reviewsd/reviewsd.toml" ] || fail 'the configuration went with the package'
no inside systemctl cat reviewsd.service
inside dpkg --install /root/reviewsd.deb >"$work/dpkg" 2>&1
ask 200 $api/products/1
inside dpkg --purge reviewsd >"$work/dpkg" 2>&1
grep -qF 'The reviews in /var/lib/reviewsd are kept. To delete them: rm -r /var/lib/reviewsd' "$work/dpkg" ||
    fail "the purge does not say what it keeps: $(cat "$work/dpkg")"
refuses $api/readyz
for gone in etc/reviewsd usr/bin/reviewsd usr/lib/systemd/system/reviewsd.service usr/lib/systemd/system/reviewsd-backup.timer usr/lib/sysusers.d/reviewsd.conf \
    etc/systemd/system/multi-user.target.wants/reviewsd.service etc/systemd/system/sockets.target.wants/reviewsd.socket; do
    [ ! -e "$tree/$gone" ] && [ ! -L "$tree/$gone" ] || fail "/$gone is still there"
done
[ -e "$tree/var/lib/reviewsd/store" ] || fail 'the reviews went with the package'

step 'by hand, as the install page says'
mkdir -p "$tree/srv/source/target/release"
cp -r "$root"/{systemd,config,docs,README.md,CHANGELOG.md} "$tree/srv/source/"
cp "$work/next/usr/bin/reviewsd" "$tree/srv/source/target/release/"
place=/srv/source
documented docs/operating/install 2
expect StatusText "Serving $api (api), $admin (admin)"
ask 200 $api/products/1

step 'all blocks were run'
diff <(blocks | grep '|run$' | cut -d'|' -f1,2 | sort) <(sort -u <<<"${ran%$'\n'}") >"$work/diff" ||
    fail "the blocks that were run are not those that are to be: $(cat "$work/diff")"

step 'all is well'
