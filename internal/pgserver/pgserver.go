// Package pgserver runs a PostgreSQL server for a test or a benchmark. It
// imports no driver: the module that uses it chooses one.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Server is a PostgreSQL server that listens on a socket in a folder, and
// accepts everybody as the role postgres. It is as durable as PostgreSQL is by
// default, unless a setting changes that.
type Server struct {
	// Dir has the socket, and the folder data of the server.
	Dir string

	bin string
	as  *owner // PostgreSQL refuses to run as root
}

// Init makes a server in a new folder under parent, or under the folder for
// temporary files if parent is empty. The server is not started. If PostgreSQL
// is not installed, the error wraps [exec.ErrNotFound]. Close ends the server.
func Init(ctx context.Context, parent string) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "pg")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, bin: bin}
	if err := s.init(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// programs returns the folder of PostgreSQL's programs.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(found) > 0 { // Debian's place
		return filepath.Dir(found[len(found)-1]), nil
	}
	return "", fmt.Errorf("initdb: %w", exec.ErrNotFound)
}

func (s *Server) init(ctx context.Context) error {
	if os.Getuid() == 0 {
		var err error
		if s.as, err = lookup("postgres"); err != nil {
			return err
		}
		if err := s.Give(s.Dir); err != nil {
			return err
		}
	}
	cmd := s.Command(ctx, filepath.Join(s.bin, "initdb"), "-D", "data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale", "C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// owner is the user to whom a server belongs.
type owner struct{ uid, gid uint32 }

func lookup(name string) (*owner, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &owner{uint32(uid), uint32(gid)}, nil
}

// Start starts the server, with settings such as "fsync=on".
func (s *Server) Start(ctx context.Context, settings ...string) error {
	args := []string{"start", "-l", "log", "-o", "-k " + s.Dir + " -h ''"}
	for _, setting := range settings {
		args = append(args, "-o", "-c "+setting)
	}
	return s.ctl(ctx, args...)
}

// Crash stops the server without a checkpoint, and starts it again with the
// same settings.
func (s *Server) Crash(ctx context.Context) error {
	return s.ctl(ctx, "restart", "-m", "immediate", "-l", "log")
}

// Close stops the server, as Crash does, and removes its folder.
func (s *Server) Close(ctx context.Context) error {
	return errors.Join(s.ctl(ctx, "stop", "-m", "immediate"), os.RemoveAll(s.Dir))
}

func (s *Server) ctl(ctx context.Context, args ...string) error {
	cmd := s.Command(ctx, filepath.Join(s.bin, "pg_ctl"), append([]string{"-D", "data", "-w"}, args...)...)
	if err := cmd.Run(); err != nil { // without its output: the server would keep a pipe open
		return fmt.Errorf("pg_ctl %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// URL returns the URL of a database.
func (s *Server) URL(database string) string {
	return "postgres:///" + database + "?host=" + url.QueryEscape(s.Dir) + "&user=postgres"
}

// Command returns a program that runs in the server's folder as the server's
// user.
func (s *Server) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // what a test or a benchmark asks for
	cmd.Dir = s.Dir
	if s.as != nil {
		s.as.runs(cmd)
	}
	return cmd
}

// Give makes the server's user the owner of files.
func (s *Server) Give(paths ...string) error {
	if s.as == nil { // the server runs as the current user
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(s.as.uid), int(s.as.gid)); err != nil {
			return err
		}
	}
	return nil
}
