//go:build !unix

package pgserver

import "os/exec"

// runs does nothing: nobody is root here.
func (o *owner) runs(*exec.Cmd) {}
