package redis

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/walink/walink/internal/bound"
)

// Hundreds of sessions that start at once wait for the connections of the pool.
func TestPoolTimeoutIsATimeout(t *testing.T) {
	t.Parallel()
	if err := explain(redis.ErrPoolTimeout); !bound.IsSlow(err) || !errors.Is(err, redis.ErrPoolTimeout) {
		t.Errorf("%v passes for another failure", err)
	}
}
