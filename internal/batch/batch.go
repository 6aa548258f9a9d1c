// Package batch takes what comes one by one, many at a time.
package batch

import "iter"

// Each hands what seq yields to take, in batches of size and a last one of what
// is left, which may be empty. It ends with the first error of either. A batch
// is used again after take has returned.
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
