# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2154
# What sentinel.sh and cluster.sh share: redis-servers on 127.0.0.1, each in a folder of its own
# below $dir, known by the pid that it wrote there.

fail() {
    echo "$0: $*" >&2
    exit 1
}

answers() {
    redis-cli -p "$port" ping >/dev/null 2>&1
}

# settings NAME: a configuration of its own, since a fail-over makes Redis rewrite that file.
settings() {
    mkdir -p "$dir/$1"
    echo "include \"$(cd "$(dirname "$0")" && pwd -P)/sipherd.conf\"" >"$dir/$1/redis.conf"
    echo "$dir/$1/redis.conf"
}

# start_node NAME PORT [redis-server arguments]: waits until it answers.
start_node() {
    name=$1 port=$2
    shift 2
    ! answers || fail "port $port is taken: name another first port"
    redis-server "$@" --bind 127.0.0.1 --port "$port" --daemonize yes --dir "$dir/$name" \
        --logfile "$dir/$name/redis.log" --pidfile "$dir/$name/redis.pid" >/dev/null
    wait_until 10 "$name does not answer on port $port: see $dir/$name/redis.log" answers
    echo "$name 127.0.0.1:$port pid $(cat "$dir/$name/redis.pid")"
}

# Folders in $dir whose server runs: only a process that still works in the folder that names it.
running() {
    for file in "$dir"/*/redis.pid; do
        [ -f "$file" ] || continue
        folder=$(cd "$(dirname "$file")" && pwd -P)
        [ "$(readlink "/proc/$(cat "$file")/cwd")" = "$folder" ] && echo "$folder"
    done
    return 0
}

stop_nodes() {
    running | while read -r folder; do
        pid=$(cat "$folder/redis.pid")
        kill "$pid"
        tries=100
        while [ -d "/proc/$pid" ] && [ $tries -gt 0 ]; do
            tries=$((tries - 1))
            sleep 0.05
        done
        [ ! -d "/proc/$pid" ] || kill -KILL "$pid"
        echo "stopped $(basename "$folder") pid $pid"
    done
}

# begin DEFAULT_PORT DIR [FIRST_PORT | stop]: sets dir and first; or stops the servers and ends. From
# then on either all servers run in the end or none.
begin() {
    default=$1
    shift
    [ $# = 1 ] || [ $# = 2 ] || fail "usage: $0 DIR [FIRST_PORT | stop]"
    mkdir -p "$1"
    dir=$(cd "$1" && pwd -P)
    if [ "${2-}" = stop ]; then
        stop_nodes
        exit
    fi
    first=${2-$default}
    for tool in redis-server redis-cli; do
        command -v $tool >/dev/null || fail "$tool is not installed: apt install redis-server"
    done
    [ -z "$(running)" ] || fail "something runs in $dir already: $0 $dir stop"
    trap stop_nodes EXIT
}

# wait_until SECONDS MESSAGE COMMAND
wait_until() {
    tries=$(($1 * 10))
    until "$3"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "$2"
        sleep 0.1
    done
}
