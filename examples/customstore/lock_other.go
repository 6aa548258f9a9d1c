//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

// noFollow has no effect on this system.
const noFollow = 0

// lock does nothing on this system: it does not keep other processes from the file.
func lock(int) error { return nil }

func unlock(int) error { return nil }
