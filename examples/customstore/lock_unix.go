//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import "syscall"

// noFollow refuses a symbolic link, which could lead to another user's file.
const noFollow = syscall.O_NOFOLLOW

// lock keeps other processes from opening the journal with the descriptor fd.
func lock(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) }

func unlock(fd int) error { return syscall.Flock(fd, syscall.LOCK_UN) }
