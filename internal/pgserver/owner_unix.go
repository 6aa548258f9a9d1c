//go:build unix

package pgserver

import (
	"os/exec"
	"syscall"
)

// runs has a command run as the owner, which only root can ask for.
func (o *owner) runs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.uid, Gid: o.gid}}
}
