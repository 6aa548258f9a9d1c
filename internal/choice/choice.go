// Package choice finds a name in a closed set, whatever its case and spaces, and proposes
// the nearest known name.
package choice

import (
	"fmt"
	"strconv"
	"strings"
)

// Of finds value in known, and ignores case and spaces. It returns the first of known
// for "", and false for an unknown value.
func Of[T ~string](value T, known []T) (T, bool) {
	if value == "" {
		return known[0], true
	}
	for _, k := range known {
		if fold(string(k)) == fold(string(value)) {
			return k, true
		}
	}
	return "", false
}

func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }

// Fix is the remedy for a value that is not one of known.
func Fix[T ~string](value T, known []T) string {
	all := make([]string, len(known))
	for i, k := range known {
		all[i] = strconv.Quote(string(k))
	}
	list := strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
	if near, ok := Nearest(value, known); ok {
		return fmt.Sprintf("Write %q if that is meant; known are %s.", string(near), list)
	}
	return "Write " + list + "."
}

// Nearest returns the known name that differs from value by the fewest typing errors,
// and false if more than half of value is wrong.
func Nearest[T ~string](value T, known []T) (T, bool) {
	word := fold(string(value))
	if len(word) > 64 {
		return "", false
	}
	best, fewest := T(""), len(word)/2+1
	for _, k := range known {
		if d := editDistance(word, fold(string(k))); d < fewest {
			best, fewest = k, d
		}
	}
	return best, best != ""
}

// editDistance counts the insertions, deletions, substitutions and transpositions
// of neighbours between two words (optimal string alignment).
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range s {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(t)]
}
