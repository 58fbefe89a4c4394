#!lua name=sipherd
-- SPDX-License-Identifier: BSD-3-Clause
--
-- What runs inside Redis: leases with fencing, fenced writes, and answers for people. STORE.md has
-- the rules, docs/redis.md shows each function in use, engine/record.h is the record's layout.
--
-- Arguments are checked before anything is written; a wrong call is answered with
-- "ERR sipherd_NAME: what is wrong". Numbers are decimal strings. Lua's numbers are doubles: exact
-- below 2^53, and a token in microseconds stays below that until the year 2255. They are written
-- with %.0f, since tostring() would round them.
--
-- While a library is loaded only `redis` is there: string, math, pairs and the like may be named
-- inside functions only.
--
-- VERSION is the version of this library and of the schema. It rises with every change that an
-- older sipherd would get wrong; a newer library is never replaced by an older one.

local VERSION = 1
local RECORD_BYTES = 32
local RECORD_VERSION = 1
local SHARD_PHONES = 10000
local FEED_ENTRIES = 10000     -- of each group's feed, roughly,
local FEED_BYTES = 8388608     -- and fewer when they are long: nobody stops a feed at maxmemory
local DAY_MS = 86400000        -- what ts:ID keeps
local FORGET_MS = 3600000      -- a node silent for so long is forgotten
local TTL_MAX_MS = 3600000
local SLABS_MAX = 16           -- of one sipherd_count, at 1.2 ms each, while all others wait
local PAIRS_MAX = 1000         -- fields of one call; unpack() ends at about 8000 values

local PROXIES = {[0] = 'none', 'primary', 'redundant', '?'}
local TRIED = {[0] = 'never', 'primary', 'redundant', '?'}
local MODES = {[0] = 'asymmetric', 'symmetric'}
local PHASES = {[0] = 'off', 'boot', 'registering', 'waiting', 'switching', 'registered'}
local CAUSES = {[0] = 'none', 'keepalive-silence', 'keepalive-answer', 'register-silence',
    'refresh-silence', 'code', 'start', 'due', 'registered', 'refused', 'reboot', 'disabled',
    'stopped'}

local function wrong(name, text)
    return redis.error_reply('ERR sipherd_' .. name .. ': ' .. text)
end

-- A decimal number from 0 to max, or nil.
local function number(text, max)
    if not text or #text == 0 or #text > 16 or text:find('%D') then
        return nil
    end
    local value = tonumber(text)
    return value <= max and value or nil
end

-- The server's clock, which is the only one that leases know.
local function now_us()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function integer(value)
    return string.format('%.0f', value)
end

-- sipherd_version -> 1
local function version()
    return VERSION
end

--
-- Leases. owner is empty when nobody has it; last is who had it before, for `moved`.
--

-- prev: whose phones these were when the caller's memory of them was last the truth. A caller that
-- was granted a lease but never loaded the slab (its `mine` is older) still gets them from `last`.
local function previous_owner(owner, last, node, mine, token)
    if owner ~= '' and (owner ~= node or mine >= token) then
        return owner
    end
    return last
end

-- sipherd_acquire LEASE | node mine ttl_ms newest
local function acquire(keys, args)
    if #keys ~= 1 or #args ~= 4 then
        return wrong('acquire', 'takes the key LEASE and: node mine ttl_ms newest')
    end
    local node, mine = args[1], number(args[2], 2 ^ 53 - 2)
    local ttl = number(args[3], TTL_MAX_MS)
    if node == '' then
        return wrong('acquire', 'node is empty')
    elseif not mine then
        return wrong('acquire', 'mine is the token last held, 0 if never')
    elseif not ttl or ttl == 0 then
        return wrong('acquire', 'ttl_ms is 1 to ' .. TTL_MAX_MS)
    elseif args[4] ~= '0' and args[4] ~= '1' then
        return wrong('acquire', 'newest is 0 or 1')
    end
    local lease = redis.pcall('HMGET', keys[1], 'owner', 'token', 'base', 'exp', 'since', 'last')
    if lease.err then
        return lease
    end
    local owner, last = lease[1] or '', lease[6] or ''
    local token, base = tonumber(lease[2] or '0') or 0, tonumber(lease[3] or '0') or 0
    local expires_ms = tonumber(lease[4] or '0') or 0
    local us = now_us()
    local now_ms = math.floor(us / 1000)
    local anothers = owner ~= '' and owner ~= node and expires_ms > now_ms
    -- Our memory is the newest: the same tenure, or Redis lost what came after; or the present
    -- lease was given in ignorance of ours, after a rollback to an old snapshot; or it was given to
    -- this very memory and the reply was lost, which may happen any number of times.
    local again = owner == node and mine > 0 and mine >= base
    local newest = again or (mine > 0 and (mine >= token or mine > base))
    if anothers and not newest then
        return {0, owner, expires_ms - now_ms}
    end
    newest = newest or args[4] == '1'
    local previous = previous_owner(owner, last, node, mine, token)
    local since = owner == node and lease[5] or integer(now_ms)
    base = again and mine or math.max(token, mine)
    token = math.max(token + 1, mine + 1, us)
    redis.call('HSET', keys[1], 'owner', node, 'token', integer(token), 'base', integer(base),
        'exp', integer(now_ms + ttl), 'since', since, 'last', previous)
    local moved = previous ~= '' and previous ~= node
    return {1, token, newest and 1 or 0, moved and 1 or 0, previous}
end

-- sipherd_renew LEASE... | node ttl_ms token... -> 1 or 0 for each
local function renew(keys, args)
    if #keys == 0 or #args ~= 2 + #keys then
        return wrong('renew', 'takes keys LEASE... and: node ttl_ms, then a token for each key')
    end
    local node, ttl = args[1], number(args[2], TTL_MAX_MS)
    if node == '' then
        return wrong('renew', 'node is empty')
    elseif not ttl or ttl == 0 then
        return wrong('renew', 'ttl_ms is 1 to ' .. TTL_MAX_MS)
    end
    local expires = integer(math.floor(now_us() / 1000) + ttl)
    local renewed = {}
    for i, key in ipairs(keys) do
        local lease = redis.pcall('HMGET', key, 'owner', 'token')
        if lease.err then
            return lease
        end
        local ours = lease[1] == node and lease[2] == args[2 + i]
        if ours then
            redis.call('HSET', key, 'exp', expires)
        end
        renewed[i] = ours and 1 or 0
    end
    return renewed
end

-- sipherd_release LEASE | node token -> 1, or 0 when it was not ours. The tokens stay: they are
-- what fences whoever still believes.
local function release(keys, args)
    if #keys ~= 1 or #args ~= 2 or args[1] == '' then
        return wrong('release', 'takes the key LEASE and: node token')
    end
    local lease = redis.pcall('HMGET', keys[1], 'owner', 'token')
    if lease.err then
        return lease
    end
    if lease[1] ~= args[1] or lease[2] ~= args[2] then
        return 0
    end
    redis.call('HSET', keys[1], 'owner', '', 'exp', '0', 'last', args[1])
    return 1
end

--
-- Writing
--

-- Everything wrong with the runs of a flush, or nil. This and the loop that writes are what a storm
-- spends its time on: no tables, no calls that are not needed.
local function wrong_run(args, slab_bytes)
    for i = 7, #args, 2 do
        local offset, length = tonumber(args[i]), #args[i + 1]
        if args[i] ~= '0' and not args[i]:find('^[1-9]%d*$') or offset % RECORD_BYTES ~= 0 then
            return 'an offset is a multiple of 32'
        elseif length == 0 or length % RECORD_BYTES ~= 0 then
            return 'data is one or more records of 32 bytes'
        elseif offset + length > slab_bytes then
            return 'data goes beyond the end of the slab'
        end
    end
end

-- sipherd_flush SLAB LEASE FEED | node token shard slab_bytes nlines lines (offset data)...
-- -> 1, or 2 when the slab was missing or too short and has been made anew.
local function flush(keys, args)
    if #keys ~= 3 or #args < 6 or #args % 2 ~= 0 then
        return wrong('flush', 'takes keys SLAB LEASE FEED and: node token shard slab_bytes ' ..
            'nlines lines, then pairs of offset and data')
    end
    local slab, slab_bytes = keys[1], number(args[4], SHARD_PHONES * RECORD_BYTES)
    if not slab_bytes or slab_bytes == 0 or slab_bytes % RECORD_BYTES ~= 0 then
        return wrong('flush', 'slab_bytes is a multiple of 32, at most 320000')
    elseif not number(args[3], 2 ^ 32) then
        return wrong('flush', 'shard is a number')
    elseif not number(args[5], 2 ^ 32) then
        return wrong('flush', 'nlines is a number')
    end
    local bad = wrong_run(args, slab_bytes)
    if bad then
        return wrong('flush', bad)
    end
    local lease = redis.pcall('HMGET', keys[2], 'owner', 'token')
    if lease.err then
        return lease
    end
    if lease[1] ~= args[1] or lease[2] ~= args[2] then
        local owned = lease[1] and lease[1] ~= ''
        return redis.error_reply('FENCED the lease is ' ..
            (owned and 'held by ' .. lease[1] .. ' with token ' .. lease[2] or "nobody's"))
    end
    local length = redis.pcall('STRLEN', slab)
    if type(length) == 'table' then
        return length
    end
    local reply = 1
    if length < slab_bytes then
        redis.call('SETRANGE', slab, slab_bytes - 1, '\0')
        reply = 2
    end
    for i = 7, #args, 2 do
        redis.call('SETRANGE', slab, args[i], args[i + 1])
    end
    if args[5] ~= '0' then
        local entries = math.min(FEED_ENTRIES, math.floor(FEED_BYTES / (#args[6] + 1)))
        redis.call('XADD', keys[3], 'MAXLEN', '~', entries, '*', 's', args[3], 'n', args[5], 'd',
            args[6])
    end
    return reply
end

-- A node's heartbeat in ms and when it was started, or nil when the entry is not ours to understand.
local function heartbeat_of(entry)
    local good, node = pcall(cjson.decode, entry)
    if good and type(node) == 'table' then
        return tonumber(node.heartbeat), node.start
    end
end

-- Live nodes' names after `now`; those silent for an hour are forgotten. A clock that went back
-- must not keep the dead alive, hence the absolute distance.
local function live_nodes(key, now_ms, ttl_ms, reply)
    local nodes = redis.call('HGETALL', key)
    for i = 1, #nodes, 2 do
        local heartbeat_ms = heartbeat_of(nodes[i + 1])
        local distance_ms = heartbeat_ms and math.abs(now_ms - heartbeat_ms) or FORGET_MS
        if distance_ms < ttl_ms then
            reply[#reply + 1] = nodes[i]
        elseif distance_ms >= FORGET_MS then
            redis.call('HDEL', key, nodes[i])
        end
    end
    return reply
end

-- sipherd_heartbeat NODES NODE:ID TS:ID | node ttl_ms json (field value)...
-- -> server's time in unix ms, whether the caller was live before, then the names of the live nodes.
-- 0: it was not. It comes first, or the list has been lost: others may be missing in it who live.
-- 1: it was. 2: somebody of this name was, who was started at another time.
local function heartbeat(keys, args)
    if #keys ~= 3 or #args < 3 or #args % 2 ~= 1 then
        return wrong('heartbeat', 'takes keys NODES NODE:ID TS:ID and: node ttl_ms json, then ' ..
            'pairs of field and value')
    end
    local ttl = number(args[2], TTL_MAX_MS)
    if args[1] == '' then
        return wrong('heartbeat', 'node is empty')
    elseif not ttl or ttl == 0 then
        return wrong('heartbeat', 'ttl_ms is 1 to ' .. TTL_MAX_MS)
    elseif #args > 3 + 2 * PAIRS_MAX then
        return wrong('heartbeat', 'at most ' .. PAIRS_MAX .. ' fields')
    end
    local inside = args[3]:match('^%s*{(.*)}%s*$')
    if not inside or not pcall(cjson.decode, args[3]) then
        return wrong('heartbeat', 'json is the text of an object')
    end
    local now_ms = math.floor(now_us() / 1000)
    local comma = inside:find('%S') and ',' or ''
    local entry = redis.call('HGET', keys[1], args[1])
    local before_ms, start = heartbeat_of(entry or '')
    local known = before_ms and math.abs(now_ms - before_ms) < ttl and 1 or 0
    if known == 1 and start ~= cjson.decode(args[3]).start then
        known = 2
    end
    redis.call('HSET', keys[1], args[1],
        '{' .. inside .. comma .. '"heartbeat":' .. integer(now_ms) .. '}')
    if #args > 3 then
        local fields = {unpack(args, 4)}
        redis.call('HSET', keys[2], unpack(fields))
        redis.call('XADD', keys[3], 'MINID', '~', integer(now_ms - DAY_MS), '*', unpack(fields))
        -- They go by themselves when the node has been gone for a day.
        redis.call('PEXPIRE', keys[2], DAY_MS)
        redis.call('PEXPIRE', keys[3], DAY_MS)
    end
    return live_nodes(keys[1], now_ms, ttl, {now_ms, known})
end

-- sipherd_goodbye NODES NODE:ID | node -> 1. The series stays.
local function goodbye(keys, args)
    if #keys ~= 2 or #args ~= 1 or args[1] == '' then
        return wrong('goodbye', 'takes keys NODES NODE:ID and: node')
    end
    redis.call('HDEL', keys[1], args[1])
    redis.call('DEL', keys[2])
    return 1
end

-- What all generators of a fleet must agree on; other fields are for people and follow the caller.
local AGREED = {schema = true, phones = true, shard_phones = true, record_bytes = true,
    groups = true, tags = true}

-- sipherd_meta META | (field value)... -> 1, or "MISMATCH field there here"
local function meta(keys, args)
    if #keys ~= 1 or #args == 0 or #args % 2 ~= 0 then
        return wrong('meta', 'takes the key META and pairs of field and value')
    elseif #args > 2 * PAIRS_MAX then
        return wrong('meta', 'at most ' .. PAIRS_MAX .. ' fields')
    end
    if redis.call('EXISTS', keys[1]) == 1 then
        for i = 1, #args, 2 do
            local there = AGREED[args[i]] and redis.pcall('HGET', keys[1], args[i])
            if there and type(there) == 'table' then
                return there
            elseif there and there ~= args[i + 1] then
                return redis.error_reply('MISMATCH ' .. args[i] .. ' ' .. there .. ' ' ..
                    args[i + 1])
            end
        end
    end
    redis.call('HSET', keys[1], unpack(args))
    return 1
end

--
-- Reading, for people. Programs take GETRANGE and GET.
--

local function rtt_text(rtt_100us)
    if rtt_100us == 65535 then
        return '-'
    end
    return rtt_100us == 65534 and '>6553.3' or string.format('%.1f', rtt_100us / 10)
end

-- Unix ms as 2026-11-21T14:20:00.123Z: the days of 400-year eras that begin on the first of March.
local function utc_text(unix_ms)
    if unix_ms == 0 then
        return '-'
    end
    local floor = math.floor
    local days = floor(unix_ms / DAY_MS)
    local ms = unix_ms - days * DAY_MS
    local era = floor((days + 719468) / 146097)
    local day = days + 719468 - era * 146097
    local year = floor((day - floor(day / 1460) + floor(day / 36524) - floor(day / 146096)) / 365)
    day = day - (365 * year + floor(year / 4) - floor(year / 100))
    local month = floor((5 * day + 2) / 153)
    day = day - floor((153 * month + 2) / 5) + 1
    month = month < 10 and month + 3 or month - 9
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ',
        year + era * 400 + (month <= 2 and 1 or 0), month, day, floor(ms / 3600000),
        floor(ms / 60000) % 60, floor(ms / 1000) % 60, ms % 1000)
end

local function name_of(names, value)
    return names[value] or string.format('%d', value)
end

-- sipherd_show SLAB | phone -> name, value, ...; nil when there is no record
local function show(keys, args)
    local phone = number(args[1], 2 ^ 32 - 1)
    if #keys ~= 1 or #args ~= 1 or not phone then
        return wrong('show', 'takes the key SLAB and: phone')
    end
    local at = phone % SHARD_PHONES * RECORD_BYTES
    local record = redis.pcall('GETRANGE', keys[1], at, at + RECORD_BYTES - 1)
    if type(record) == 'table' then
        return record
    end
    if #record < RECORD_BYTES or record:byte() < 32 then
        return false
    end
    local b0, phase, misses, cause, transition, rtt, since, failed, failovers, failbacks, ok, sent,
        missed = struct.unpack('>BBBBI2I2I6I2I2I2I4I4I4', record)
    if math.floor(b0 / 32) ~= RECORD_VERSION then
        return wrong('show', 'the record is of version ' .. math.floor(b0 / 32) ..
            ', this library knows ' .. RECORD_VERSION)
    end
    return {'phone', integer(phone), 'registered', PROXIES[b0 % 4],
        'last_tried', TRIED[math.floor(b0 / 4) % 4], 'mode', MODES[math.floor(b0 / 16) % 2],
        'phase', name_of(PHASES, phase), 'misses', integer(misses),
        'cause', name_of(CAUSES, cause), 'transition', integer(transition),
        'rtt_ms', rtt_text(rtt), 'since', integer(since), 'since_utc', utc_text(since),
        'registrations_failed', integer(failed), 'failovers', integer(failovers),
        'failbacks', integer(failbacks), 'registrations_ok', integer(ok),
        'keepalives_sent', integer(sent), 'keepalives_missed', integer(missed)}
end

-- How many records have each pair of the bytes 0 and 1; key byte 0 * 256 + byte 1.
local function tally(slab, pairs_seen)
    for i = 1, #slab - RECORD_BYTES + 1, RECORD_BYTES do
        local b0, b1 = slab:byte(i, i + 1)
        local key = b0 * 256 + b1
        pairs_seen[key] = (pairs_seen[key] or 0) + 1
    end
end

local function add(counts, name, n)
    counts[name] = (counts[name] or 0) + n
end

-- sipherd_count SLAB... -> name, count, ...: names as sipherd_list's criteria
local function count(keys, args)
    if #keys == 0 or #args ~= 0 then
        return wrong('count', 'takes keys SLAB... and nothing else')
    elseif #keys > SLABS_MAX then
        return wrong('count', 'at most ' .. SLABS_MAX .. ' slabs in one call')
    end
    local pairs_seen = {}
    for _, key in ipairs(keys) do
        local slab = redis.pcall('GET', key)
        if type(slab) == 'table' then
            return slab
        end
        if slab then
            tally(slab, pairs_seen)
        end
    end
    local counts = {}
    for key, n in pairs(pairs_seen) do
        local b0, phase = math.floor(key / 256), key % 256
        if math.floor(b0 / 32) == RECORD_VERSION then
            add(counts, 'phones', n)
            add(counts, 'registered=' .. PROXIES[b0 % 4], n)
            add(counts, 'last_tried=' .. TRIED[math.floor(b0 / 4) % 4], n)
            add(counts, 'phase=' .. name_of(PHASES, phase), n)
        end
    end
    local reply = {'phones', counts['phones'] or 0}
    local function tell(word, names)
        for value = 0, #names do
            local name = word .. '=' .. names[value]
            if names[value] ~= '?' then
                reply[#reply + 1] = name
                reply[#reply + 1] = counts[name] or 0
            end
        end
    end
    tell('registered', PROXIES)
    tell('last_tried', TRIED)
    tell('phase', PHASES)
    return reply
end

-- For each criterion: its words, and which byte of a record holds it, shifted and cut how.
local CRITERIA = {
    registered = {names = PROXIES, at = 0, divide = 1, modulo = 4},
    last_tried = {names = TRIED, at = 0, divide = 4, modulo = 4},
    mode = {names = MODES, at = 0, divide = 16, modulo = 2},
    phase = {names = PHASES, at = 1, divide = 1, modulo = 256},
    cause = {names = CAUSES, at = 3, divide = 1, modulo = 256},
}

-- The criterion and the value looked for, or nil.
local function criterion_of(text)
    local word, wanted = (text or ''):match('^([%w_]+)=([%w-]+)$')
    local criterion = CRITERIA[word]
    for value = 0, criterion and #criterion.names or -1 do
        if criterion.names[value] == wanted then
            return criterion, value
        end
    end
end

-- sipherd_list SLAB | first_phone_of_shard criterion limit -> phones
local function list(keys, args)
    if #keys ~= 1 or #args ~= 3 then
        return wrong('list', 'takes the key SLAB and: first_phone_of_shard criterion limit')
    end
    local first, limit = number(args[1], 2 ^ 32 - 1), number(args[3], SHARD_PHONES)
    local criterion, wanted = criterion_of(args[2])
    if not first or first % SHARD_PHONES ~= 0 then
        return wrong('list', 'first_phone_of_shard is a multiple of 10000')
    elseif not criterion then
        return wrong('list', 'a criterion is registered=none|primary|redundant, ' ..
            'last_tried=never|primary|redundant, mode=asymmetric|symmetric, phase=NAME or ' ..
            'cause=NAME')
    elseif not limit or limit == 0 then
        return wrong('list', 'limit is 1 to 10000')
    end
    local slab = redis.pcall('GET', keys[1])
    if type(slab) == 'table' then
        return slab
    end
    local phones = {}
    for i = 1, (slab and #slab or 0) - RECORD_BYTES + 1, RECORD_BYTES do
        local value = math.floor(slab:byte(i + criterion.at) / criterion.divide) % criterion.modulo
        if value == wanted and math.floor(slab:byte(i) / 32) == RECORD_VERSION then
            phones[#phones + 1] = first + (i - 1) / RECORD_BYTES
            if #phones == limit then
                break
            end
        end
    end
    return phones
end

-- Writes in place do not grow memory, and renewals must not fail when memory is full: allow-oom.
-- What a function does is checked against its caller's rights, but Redis 7.0 says so with ERR. Here
-- it is NOPERM, as for any command.
local function register(name, callback, flags)
    local function guarded(keys, args)
        local good, reply = pcall(callback, keys, args)
        local message = type(reply) == 'table' and reply.err or not good and tostring(reply)
        if not message then
            return reply
        elseif message:find('The user executing', 1, true) then
            message = 'NOPERM ' .. name .. ': this user lacks a command that it needs'
        end
        return redis.error_reply(message)
    end
    redis.register_function{function_name = name, callback = guarded, flags = flags}
end

local WRITES, READS = {'allow-oom'}, {'no-writes'}
register('sipherd_version', version, READS)
register('sipherd_acquire', acquire, WRITES)
register('sipherd_renew', renew, WRITES)
register('sipherd_release', release, WRITES)
register('sipherd_flush', flush, WRITES)
register('sipherd_heartbeat', heartbeat, WRITES)
register('sipherd_goodbye', goodbye, WRITES)
register('sipherd_meta', meta, WRITES)
register('sipherd_show', show, READS)
register('sipherd_count', count, READS)
register('sipherd_list', list, READS)
