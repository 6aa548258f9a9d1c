package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/internal/hint"
	"github.com/walink/walink/internal/redact"
)

// permitScript calls every command of the other scripts, and returns the names
// of those that the user may not call. As called here, most commands do
// nothing. The others write to a key that nothing else uses and that DEL
// deletes, so they are called only if DEL is allowed. The script ignores all
// other errors, such as those of a full server, from which one can still read.
const permitScript = `
local denied = {}
local function may(command, ...)
	local answer = redis.pcall(command, ...)
	local text = type(answer) == 'table' and answer.err or ''
	for _, sign in ipairs({"can't run this", "can't access", 'ACL failure', 'NOPERM'}) do
		if string.find(text, sign, 1, true) then
			denied[#denied + 1] = string.lower(command)
			return false
		end
	end
	return true
end
may('GET', KEYS[1])
may('HGET', KEYS[2], '')
may('HMGET', KEYS[2], '')
may('LLEN', KEYS[7])
may('LRANGE', KEYS[7], 0, 0)
may('TIME')
may('TYPE', KEYS[1])
may('ZRANGE', KEYS[3], '-', '-', 'BYLEX', 'LIMIT', 0, 0)
may('ZRANK', KEYS[5], '')
may('ZSCORE', KEYS[5], '')
may('HDEL', KEYS[2], '')
may('PEXPIRE', KEYS[10], 1000)
may('SET', KEYS[10], '', 'XX')
may('UNLINK', KEYS[10])
may('ZADD', KEYS[3], 'XX', 0, '')
may('ZREM', KEYS[3], '')
if may('DEL', KEYS[10]) then
	may('HSET', KEYS[10], 'x', 'x')
	may('INCR', KEYS[10])
	may('RPUSH', KEYS[10], 'x')
	redis.pcall('DEL', KEYS[10])
end
return denied`

const remedyDenied = "Let the user run scripts, call all commands in them, and use all keys that begin with the prefix in braces (ACL SETUSER)."

// checkPermissions returns an error if the user may not run the scripts, or may
// not call all their commands. Redis reports a missing permission only when the
// command is called.
func (db *DB) checkPermissions(ctx context.Context) error {
	script := redis.NewScript(permitScript)
	// The scripts are sent by their hash or in full.
	if err := script.Eval(ctx, db.client, db.names).Err(); err != nil {
		return err
	}
	names, err := script.EvalSha(ctx, db.client, db.names).StringSlice()
	if err != nil || len(names) == 0 {
		return err
	}
	list := redact.Line(strings.Join(names, ", "))
	return hint.New(fmt.Errorf("the user %w: %s", errDenied, list), "Let the user call "+list+" also in scripts (ACL SETUSER).")
}

var errDenied = errors.New("may not call all commands of the scripts")

// denied reports whether an answer is about a missing permission. Inside a
// script such an answer has no code: the first text is that of Redis until 7.0,
// and the second that of later versions and of Valkey.
func denied(answer string) bool {
	for _, sign := range []string{"The user executing the script can't", "ACL failure in script", "NOPERM "} {
		if strings.Contains(answer, sign) {
			return true
		}
	}
	return false
}
