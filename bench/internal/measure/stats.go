package measure

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Comparison is samples of both sides, taken in turns.
type Comparison struct {
	Walink, Plain []time.Duration
}

// Compare takes n samples of each side in turns, A B B A, after one of each
// that does not count if n is more than 1.
func Compare(ctx context.Context, n int, sample Sample) (c Comparison, err error) {
	if n > 1 {
		for _, side := range Sides() {
			if _, err := sample(ctx, side); err != nil {
				return c, err
			}
		}
	}
	for range n {
		if err := c.Add(ctx, sample); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Add takes one more sample of each side.
func (c *Comparison) Add(ctx context.Context, sample Sample) error {
	sides := Sides()
	if len(c.Walink)%2 == 1 {
		slices.Reverse(sides)
	}
	for _, side := range sides {
		took, err := sample(ctx, side)
		if err != nil {
			return err
		}
		if side == Walink {
			c.Walink = append(c.Walink, took)
		} else {
			c.Plain = append(c.Plain, took)
		}
	}
	return nil
}

// Estimate is one number of a side against the other's.
type Estimate struct {
	Walink, Plain time.Duration
	// Ratio is Walink divided by Plain; with a probability of 95 % it lies
	// between Low and High.
	Ratio, Low, High float64
}

// Median compares the medians.
func (c Comparison) Median() Estimate { return c.estimate(0.5) }

// Undisturbed compares the tenth percentiles: what other programs on the
// machine do only ever makes a time longer, and these are the times that they
// have left alone.
func (c Comparison) Undisturbed() Estimate { return c.estimate(0.1) }

// estimate compares a quantile. The bounds are from resampling the pairs.
func (c Comparison) estimate(q float64) Estimate {
	e := Estimate{Walink: Quantile(c.Walink, q), Plain: Quantile(c.Plain, q)}
	e.Ratio = float64(e.Walink) / float64(e.Plain)
	const resamples = 2000
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same bounds for the same samples
	ratios := make([]float64, resamples)
	walink, plain := make([]time.Duration, len(c.Walink)), make([]time.Duration, len(c.Plain))
	for i := range ratios {
		for j := range walink {
			k := random.IntN(len(walink))
			walink[j], plain[j] = c.Walink[k], c.Plain[k]
		}
		ratios[i] = float64(Quantile(walink, q)) / float64(Quantile(plain, q))
	}
	slices.Sort(ratios)
	e.Low, e.High = ratios[resamples/40], ratios[resamples-resamples/40-1]
	return e
}

// Quantile returns a quantile of times, which is not empty, between the two
// nearest.
func Quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + time.Duration((at-float64(below))*float64(sorted[above]-sorted[below]))
}
