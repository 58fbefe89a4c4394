#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A Redis Cluster of three masters and three replicas on this host, to try sipherd with.
#
#   store/redis/cluster.sh DIR [FIRST_PORT]   start six servers on ports from FIRST_PORT, 7100; each
#                                             also listens 10000 above its port, for the others
#   store/redis/cluster.sh DIR stop
#
# NODE_TIMEOUT_MS, 2000: how long a silent master is waited for. On machines of your own, take the
# same settings, one server on each, and leave out what says 127.0.0.1.
set -eu
. "$(dirname "$0")/nodes.sh"

begin 7100 "$@"

rm -f "$dir"/node-*/nodes.conf # of an earlier cluster; no data were kept either
servers=
for n in 1 2 3 4 5 6; do
    start_node node-$n $((first + n - 1)) "$(settings node-$n)" --save '' \
        --repl-diskless-sync-delay 0 --cluster-enabled yes \
        --cluster-node-timeout "${NODE_TIMEOUT_MS-2000}"
    servers="$servers 127.0.0.1:$((first + n - 1))"
done
# shellcheck disable=SC2086 # six words
redis-cli --cluster create $servers --cluster-replicas 1 --cluster-yes >"$dir/create.log" ||
    fail "the cluster could not be made: see $dir/create.log"

# All six must agree, and the replicas be in step, before a fail-over can be tried.
ready() {
    for port in 0 1 2 3 4 5; do
        redis-cli -p $((first + port)) cluster info | grep -q cluster_state:ok || return 1
        redis-cli -p $((first + port)) info replication |
            grep -q 'role:master\|master_link_status:up' || return 1
        [ "$(redis-cli -p $((first + port)) cluster nodes | grep -c 'slave ')" = 3 ] || return 1
    done
}
wait_until 30 "the cluster is not whole: see $dir/*/redis.log" ready
trap - EXIT
echo "store: redis+cluster://127.0.0.1:$first,127.0.0.1:$((first + 1)),127.0.0.1:$((first + 2))"
