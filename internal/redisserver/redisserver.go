// Package redisserver runs a redis-server for a test or a benchmark. It imports
// no driver.
package redisserver

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Server is a redis-server that listens on a socket in a folder, and keeps its
// data. It syncs the data every second, unless an argument changes that.
type Server struct {
	// Dir has the socket and the data of the server.
	Dir string
	// Socket is the path of the socket.
	Socket string

	args    []string
	process *exec.Cmd
}

// Start starts a server in a new folder under parent, or under the folder for
// temporary files if parent is empty. args follow the server's own arguments.
// If Redis is not installed, the error wraps [exec.ErrNotFound]. The server is
// killed when ctx ends, or by Close.
func Start(ctx context.Context, parent string, args ...string) (*Server, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "walink")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, Socket: filepath.Join(dir, "s")}
	s.args = append([]string{
		binary, "--port", "0", "--unixsocket", s.Socket, "--unixsocketperm", "700", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no",
	}, args...)
	if err := s.run(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// run starts the process, and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	process := exec.CommandContext(ctx, s.args[0], s.args[1:]...) //nolint:gosec // as found
	if err := process.Start(); err != nil {
		return err
	}
	s.process = process
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for range 2000 {
		<-ticker.C
		if s.answers(ctx) {
			return nil
		}
	}
	return errors.New("redis-server does not answer")
}

// answers reports whether the server is ready. While the server reads its
// files, it refuses even a ping; once it is ready, it may say that a password
// is missing.
func (s *Server) answers(ctx context.Context) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", s.Socket)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && (strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH"))
}

// Crash kills the server and starts it again, until ctx ends.
func (s *Server) Crash(ctx context.Context) error {
	s.kill()
	return s.run(ctx)
}

// Signal sends a signal to the server.
func (s *Server) Signal(signal os.Signal) error { return s.process.Process.Signal(signal) }

// Close kills the server, and removes its folder.
func (s *Server) Close() error {
	if s.process != nil {
		s.kill()
	}
	return os.RemoveAll(s.Dir)
}

func (s *Server) kill() {
	_ = s.process.Process.Kill() // fails if it has already ended
	_ = s.process.Wait()         // it was killed
}

// URL returns the address of the server.
func (s *Server) URL() string { return (&url.URL{Scheme: "unix", Path: s.Socket}).String() }
