package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.mau.fi/whatsmeow"
	wastore "go.mau.fi/whatsmeow/store"

	"github.com/walink/walink/internal/machine"
	"github.com/walink/walink/internal/redact"
)

// farthestAhead is how many revisions a current version may be ahead of the built-in one.
// WhatsApp's web client has 21 million a year: whatsmeow had 1031788782 at the beginning
// of 2026, and 1047769893 in September.
const farthestAhead = 50_000_000

// RefreshVersion fetches the current version of WhatsApp's web client, and has
// every client that connects from now on announce it. It returns why it could not: the
// reason is ReasonClientOutdated if the page has no version to announce.
func (cfg *Config) RefreshVersion(ctx context.Context) *machine.Failure {
	version, err := whatsmeow.GetLatestVersion(ctx, cfg.HTTP)
	if err != nil {
		return &machine.Failure{Reason: versionReason(err), Op: machine.OpVersion, Err: errors.New(redact.Text(err.Error()))}
	}
	if doubt := Doubt(*version); doubt != "" {
		return &machine.Failure{Reason: machine.ReasonClientOutdated, Op: machine.OpVersion, Err: errors.New(doubt)}
	}
	cfg.SetVersion(version)
	return nil
}

// versionReason says what an error of GetLatestVersion means. Most of its errors have no
// type (whatsmeow's update.go), so versionReason reads the text. Delete that when
// whatsmeow exports errors.
func versionReason(err error) machine.Reason {
	var status int
	_, isRequest := errors.AsType[*url.Error](err)
	switch {
	case viaProxy(err):
		return machine.ReasonProxy
	case isRequest, strings.HasPrefix(err.Error(), "failed to read response"):
		return machine.ReasonNetwork
	}
	if _, err := fmt.Sscanf(err.Error(), "unexpected response with status %d", &status); err == nil &&
		(status >= http.StatusInternalServerError || status == http.StatusTooManyRequests) {
		return machine.ReasonServer
	}
	return machine.ReasonClientOutdated
}

// Doubt returns why a version that WhatsApp's page names is not announced, and "" if it
// is. A page may be an old one from a cache, and WhatsApp unlinks a device that announces
// a version which WhatsApp has not released.
func Doubt(version wastore.WAVersionContainer) string {
	builtIn := wastore.GetWAVersion()
	farthest := builtIn
	farthest[2] += farthestAhead
	switch {
	case version.LessThan(builtIn):
		return fmt.Sprintf("the page of WhatsApp Web names %s, which is older than this build's %s and is not announced", name(version), name(builtIn))
	case farthest.LessThan(version):
		return fmt.Sprintf("the page of WhatsApp Web names %s, which is too far ahead of this build's %s and is not announced", name(version), name(builtIn))
	}
	return ""
}

// name returns the version in digits. String of a WAVersionContainer (whatsmeow's
// store/clientpayload.go) is wrong for large numbers on 32 bits. Delete when it is not.
func name(version wastore.WAVersionContainer) string {
	return fmt.Sprintf("%d.%d.%d", version[0], version[1], version[2])
}

// BuiltIn names the version of this build, and how old it is in days if it is the one that
// whatsmeow itself has.
func BuiltIn(now time.Time) string {
	version := wastore.GetWAVersion()
	released := time.Date(2026, time.September, 21, 0, 0, 0, 0, time.UTC)
	if version != (wastore.WAVersionContainer{2, 3000, 1047769893}) || now.Before(released) {
		return name(version)
	}
	return fmt.Sprintf("%s (%d days old)", name(version), now.Sub(released)/(24*time.Hour))
}
