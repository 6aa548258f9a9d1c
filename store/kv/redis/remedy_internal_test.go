package redis

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/internal/bound"
)

// answer is an error of a server.
type answer string

func (a answer) Error() string { return string(a) }
func (answer) RedisError()     {}

// A Supervise that begins while the server starts goes on.
func TestErrorOfAServerThatMayAnswerLaterIsATimeout(t *testing.T) {
	t.Parallel()
	for text, later := range map[string]bool{
		"LOADING Redis is loading the dataset in memory":          true,
		"MASTERDOWN Link with MASTER is down":                     true,
		"CLUSTERDOWN The cluster is down":                         true,
		"NOAUTH Authentication required.":                         false,
		"OOM command not allowed when used memory > 'maxmemory'.": false,
		"ERR unknown": false,
	} {
		if err := explain(answer(text)); bound.IsSlow(err) != later {
			t.Errorf("%s passes for a timeout: %t", text, !later)
		}
	}
}

// Hundreds of sessions that start at once wait for the connections of the pool.
func TestPoolTimeoutIsATimeout(t *testing.T) {
	t.Parallel()
	if err := explain(redis.ErrPoolTimeout); !bound.IsSlow(err) || !errors.Is(err, redis.ErrPoolTimeout) {
		t.Errorf("%v passes for another failure", err)
	}
}
