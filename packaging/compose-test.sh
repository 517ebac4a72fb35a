#!/usr/bin/env bash
# Starts what `reviewsd init --layout compose` writes: a primary, two replicas and nginx, from an image that
# is loaded. Imports a small shop, asks through nginx, writes, and stops a replica.
# The first difference from what is expected ends it with 1.
#
# usage: compose-test.sh IMAGE
#   IMAGE  the name of the image, like reviewsd:0.1.0
#
# Takes a Docker that runs, and its compose. COMPOSE is another command for the latter; NGINX_IMAGE is
# another image of nginx.

set -euo pipefail
image=$1
compose=${COMPOSE:-docker compose}

work=$(mktemp -d)
shop=$work/shop
export REVIEWSD_PORT=${REVIEWSD_PORT:-8088} COMPOSE_PROJECT_NAME=reviewsd-test
at_exit() {
    local code=$?
    if [ -d "$shop" ]; then
        cd "$shop"
        [ "$code" = 0 ] || $compose logs --tail 30 >&2 || true
        $compose down --volumes >/dev/null 2>&1 || true
    fi
    rm -rf "$work"
}
trap at_exit EXIT
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

mkdir "$work/csv"
cat >"$work/csv/product.csv" <<'CSV'
id,name,slogan,description,category,default_price
1,"Camo Onesie","Blend in","Warm","Jackets",140
CSV
cat >"$work/csv/reviews.csv" <<'CSV'
id,product_id,rating,date,summary,body,recommend,reported,reviewer_name,reviewer_email,response,helpfulness
1,1,5,1596080481467,"First","It is what it says.",true,false,"pine","pine@example.org",null,3
CSV
chmod -R a+rX "$work"

docker run --rm --user "$(id -u):$(id -g)" --volume "$work:/work" "$image" \
    init --out /work/shop --name localhost --layout compose >/dev/null
cd "$shop"
sed -i "s#^REVIEWSD_IMAGE=.*#REVIEWSD_IMAGE=$image#" .env
$compose config >/dev/null
$compose run --rm --no-deps --volume "$work/csv:/csv:ro" primary \
    import --csv /csv --data /var/lib/reviewsd --quiet >/dev/null
$compose up --detach

ask() {
    curl --silent --show-error --fail --max-time 10 --cookie "$work/cookies" --cookie-jar "$work/cookies" \
        "http://127.0.0.1:$REVIEWSD_PORT$1" "${@:2}"
}
# Waits until an answer has something in it.
until_has() {
    local end=$((SECONDS + 60))
    until ask "$2" 2>/dev/null | grep -q "$1"; do
        [ "$SECONDS" -lt "$end" ] || fail "$2 does not answer with $1"
        sleep 0.2
    done
}
until_has '"summary":"First"' '/reviews?product_id=1'
for container in $($compose ps -q primary replica-1 replica-2); do
    found=$(docker inspect --format '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.Config.User}}' "$container")
    [[ $found == 'true [ALL] '[1-9]*:[1-9]* ]] || fail "a server runs as $found"
done
ask /reviews --data '{"product_id":1,"rating":4,"summary":"Second","body":"By compose.","recommend":true,"name":"pine","email":"pine@example.org"}' |
    grep -qx Created || fail 'a review is not taken'
ask '/reviews?product_id=1&sort=newest' | grep -q '"summary":"Second"' || fail 'the next read does not have the review'
$compose stop replica-1
ask '/reviews?product_id=1&sort=newest' | grep -q '"summary":"Second"' || fail 'a replica that is away is noticed'
$compose stop primary
ask '/reviews?product_id=1&sort=newest' | grep -q '"summary":"Second"' || fail 'a replica does not have the review'
echo "a primary, two replicas and nginx answer ($SECONDS s)"
