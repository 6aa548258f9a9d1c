package redis

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// The scripts are sent by their hash, and in full if the server does not know
// them yet. The first argument of a script that reads is the token of the lock,
// or empty. The script returns "lost" if another token has the lock. Otherwise
// it returns the version first, which shows a reader whether all its reads were
// of one state.
const (
	getScript = `
if ARGV[1] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[1] then return {'lost'} end
return {redis.call('GET', KEYS[1]) or '0', redis.call('HGET', KEYS[2], ARGV[2])}`

	// One page of a scan: the names in a range, and their values.
	scanScript = `
if ARGV[1] ~= '' and redis.call('GET', KEYS[4]) ~= ARGV[1] then return {'lost'} end
local keys = redis.call('ZRANGE', KEYS[3], ARGV[2], ARGV[3], 'BYLEX', 'LIMIT', 0, ARGV[4])
local values = {}
if #keys > 0 then values = redis.call('HMGET', KEYS[2], unpack(keys)) end
return {redis.call('GET', KEYS[1]) or '0', keys, values}`

	// Many values and many pages of scans, all of one state.
	planScript = `
local gets, scans = {}, {}
local last = 1 + tonumber(ARGV[1])
for i = 2, last do gets[i - 1] = redis.call('HGET', KEYS[2], ARGV[i]) end
for i = last + 1, #ARGV, 3 do
	local keys = redis.call('ZRANGE', KEYS[3], ARGV[i], ARGV[i + 1], 'BYLEX', 'LIMIT', 0, ARGV[i + 2])
	local values = {}
	for j, key in ipairs(keys) do values[j] = redis.call('HGET', KEYS[2], key) end
	scans[#scans + 1] = {keys, values}
end
return {redis.call('GET', KEYS[1]) or '0', gets, scans}`

	// Takes the lock, or a place in the queue for it. The queue is in the order
	// of arrival. The result is the place, or -1 for the lock. A process that
	// has not asked for a while is dead, and loses its place. Most repeated
	// calls write nothing, so that they cost no fsync.
	lockScript = `
local holder = redis.call('GET', KEYS[4])
if holder == ARGV[1] then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function idle(who) return math.abs(now - tonumber(redis.call('HGET', KEYS[6], who) or '0')) end
local function gone(who)
	redis.call('ZREM', KEYS[5], who)
	redis.call('HDEL', KEYS[6], who)
end
local first = redis.call('ZRANGE', KEYS[5], 0, 0)[1]
while first and first ~= ARGV[1] and idle(first) > tonumber(ARGV[3]) do
	gone(first)
	first = redis.call('ZRANGE', KEYS[5], 0, 0)[1]
end
if not holder and (not first or first == ARGV[1]) then
	redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[2])
	if first then gone(first) end
	return -1
end
if not redis.call('ZSCORE', KEYS[5], ARGV[1]) then
	local last = redis.call('ZRANGE', KEYS[5], -1, -1, 'WITHSCORES')[2]
	redis.call('ZADD', KEYS[5], (last or 0) + 1, ARGV[1])
	redis.call('HSET', KEYS[6], ARGV[1], now)
elseif idle(ARGV[1]) > ARGV[3] / 4 then
	redis.call('HSET', KEYS[6], ARGV[1], now)
end
return redis.call('ZRANK', KEYS[5], ARGV[1])`

	renewScript = `
if redis.call('GET', KEYS[4]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[4], ARGV[2]) end
return 0`

	unlockScript = `
if redis.call('GET', KEYS[4]) == ARGV[1] then redis.call('DEL', KEYS[4]) end
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('HDEL', KEYS[6], ARGV[1])
return 0`

	// A part of a large batch, which waits in a list until all parts are there.
	// The arguments are the token, the life of the list, the number of the
	// list, its expected length, and the items to add.
	stageScript = `
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
local list, before, more = KEYS[tonumber(ARGV[3])], tonumber(ARGV[4]), #ARGV - 4
if before == 0 then redis.call('UNLINK', list) end
local length = redis.call('LLEN', list)
if length == before + more then return 1 end
if length ~= before then return 0 end
for i = 5, #ARGV, 1000 do redis.call('RPUSH', list, unpack(ARGV, i, math.min(i + 999, #ARGV))) end
redis.call('PEXPIRE', list, ARGV[2])
return 1`

	// The changes of a batch. The arguments are the token, how long the success
	// is remembered, the lengths of the two lists, and an operation, a name and
	// a value for each change. The script also releases the lock. If it is
	// called again, it returns the same.
	//
	// If the server denies its user a command, everything before that command
	// stays done, and a permission can be revoked at any time. So the script
	// first calls each command without effect. Three commands always have an
	// effect: DEL and INCR change no data here, and HSET comes before every
	// other change of data. The first command that writes must be one that a
	// server with full memory refuses, because Redis tests the memory only
	// at the first write.
	commitScript = `
local done = redis.call('GET', KEYS[9])
if done == ARGV[1] then return 1 end
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
for i, want in ipairs({'string', 'hash', 'zset'}) do
	local is = redis.call('TYPE', KEYS[i]).ok
	if is ~= 'none' and is ~= want then return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. is) end
end
local sets, deletes = tonumber(ARGV[3]), tonumber(ARGV[4])
if sets > 0 and redis.call('LLEN', KEYS[7]) ~= sets then return 0 end
if deletes > 0 and redis.call('LLEN', KEYS[8]) ~= deletes then return 0 end
if sets + deletes > 0 then redis.call('LRANGE', KEYS[7], 0, 0) end
redis.call('ZADD', KEYS[3], 'XX', 0, '')
redis.call('ZREM', KEYS[3], '')
redis.call('HDEL', KEYS[2], '')
redis.call('SET', KEYS[9], '', done and 'NX' or 'XX')
redis.call('DEL', KEYS[4])
redis.call('INCR', KEYS[1])
for i = 0, sets - 1, 1000 do
	local pairs = redis.call('LRANGE', KEYS[7], i, i + 999)
	redis.call('HSET', KEYS[2], unpack(pairs))
	local names = {}
	for j = 1, #pairs, 2 do
		names[j] = 0
		names[j + 1] = pairs[j]
	end
	redis.call('ZADD', KEYS[3], unpack(names))
end
for i = 0, deletes - 1, 1000 do
	local names = redis.call('LRANGE', KEYS[8], i, i + 999)
	redis.call('HDEL', KEYS[2], unpack(names))
	redis.call('ZREM', KEYS[3], unpack(names))
end
for i = 5, #ARGV, 3 do
	if ARGV[i] == 's' then
		redis.call('HSET', KEYS[2], ARGV[i + 1], ARGV[i + 2])
		redis.call('ZADD', KEYS[3], 0, ARGV[i + 1])
	end
end
for i = 5, #ARGV, 3 do
	if ARGV[i] == 'd' then
		redis.call('HDEL', KEYS[2], ARGV[i + 1])
		redis.call('ZREM', KEYS[3], ARGV[i + 1])
	end
end
redis.call('SET', KEYS[9], ARGV[1], 'PX', ARGV[2])
if sets + deletes > 0 then redis.pcall('UNLINK', KEYS[7], KEYS[8]) end
return 1`

	timeScript = `return redis.call('TIME')`
)

// The numbers of the lists among the keys of a script.
const (
	setList    = 7
	deleteList = 8
)

// run runs a script with the keys of the DB. It returns when ctx ends, even if
// the server hangs; Close then waits for the answer.
func (db *DB) run(ctx context.Context, script string, args ...any) *redis.Cmd {
	if ctx.Done() == nil {
		return redis.NewScript(script).Run(ctx, db.client, db.names, args...)
	}
	answer := make(chan *redis.Cmd, 1)
	db.calls.Go(func() { answer <- redis.NewScript(script).Run(ctx, db.client, db.names, args...) })
	select {
	case cmd := <-answer:
		// The connection may reach its deadline a moment before ctx does.
		var network net.Error
		if end, ok := ctx.Deadline(); ok && errors.As(cmd.Err(), &network) && network.Timeout() && time.Until(end) <= 0 {
			cmd.SetErr(context.DeadlineExceeded)
		}
		return cmd
	case <-ctx.Done():
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(ctx.Err())
		return cmd
	}
}

// runTwice is run for a script that may run more than once. If the answer was
// lost, runTwice sends the script again, up to times in all. If it is not known
// whether the script has run, the error is an unknownError.
func (db *DB) runTwice(ctx context.Context, times int, script string, args ...any) (done bool, err error) {
	unknown := false
	for range times {
		var yes int
		yes, err = db.runOnce(ctx, script, args...)
		if err == nil {
			return yes == 1, nil
		}
		var refused redis.Error
		if errors.As(err, &refused) && !unknown {
			return false, err
		}
		unknown = true
	}
	return false, &unknownError{err}
}

func (db *DB) runOnce(ctx context.Context, script string, args ...any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	return db.run(ctx, script, args...).Int()
}

// unknownError is the error of a script that may have run.
type unknownError struct{ err error }

func (e *unknownError) Error() string {
	return "it is not known whether the transaction is stored: " + e.err.Error()
}

func (e *unknownError) Unwrap() error { return e.err }
