// Package batch groups the items of a sequence.
package batch

import "iter"

// Each calls take with the items of seq, in batches of size. The last batch has
// the rest, and may be empty. Each ends with the first error of seq or take.
// After take has returned, its slice is overwritten.
func Each[T any](seq iter.Seq2[T, error], size int, take func([]T) error) error {
	list := make([]T, 0, size)
	for item, err := range seq {
		if err != nil {
			return err
		}
		if list = append(list, item); len(list) == size {
			if err := take(list); err != nil {
				return err
			}
			list = list[:0]
		}
	}
	return take(list)
}
