package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"

	"github.com/walink/walink/walinktest"
)

// order is the body of POST /script. Without an Action it empties the queue of the stage.
type order struct {
	Stage            walinktest.Stage
	Action, Conflict string
	Said             walinktest.Refusal
	Nodes            nodes
	Code, Times      int
	Manual           bool
	Backoff, After   duration
	Attrs            map[string]string
}

// nodes are strict: the UnmarshalJSON of a waBinary.Node skips unknown fields, and takes
// attributes on which waBinary.Marshal panics.
type nodes []waBinary.Node

// UnmarshalJSON makes encoding/json check the nodes.
func (n *nodes) UnmarshalJSON(data []byte) error {
	if err := checkNodes(data); err != nil {
		return err
	}
	return json.Unmarshal(data, (*[]waBinary.Node)(n))
}

func checkNodes(data []byte) error {
	var checked []struct {
		Tag     string
		Attrs   map[string]string
		Content json.RawMessage
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&checked); err != nil {
		return err
	}
	for _, node := range checked {
		if node.Tag == "" {
			return errors.New("a node needs a tag")
		}
		if bytes.HasPrefix(node.Content, []byte("[")) {
			if err := checkNodes(node.Content); err != nil {
				return err
			}
		}
	}
	return nil
}

// duration is a string such as "1.5s" in JSON.
type duration struct{ time.Duration }

// UnmarshalText makes encoding/json take a string.
func (d *duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	return err
}

// stages returns all stages of walinktest.
func stages() []walinktest.Stage {
	return []walinktest.Stage{
		walinktest.StageVersion, walinktest.StageUpgrade, walinktest.StageHandshake, walinktest.StagePairDevice,
		walinktest.StageCompanionHello, walinktest.StagePrimaryHello, walinktest.StageCompanionFinish,
		walinktest.StagePasskeyRequest, walinktest.StagePasskeyRef, walinktest.StagePasskeyPrologue,
		walinktest.StagePasskeyContinuation, walinktest.StageCompanionNonce, walinktest.StagePairingRequest,
		walinktest.StagePairSuccess, walinktest.StagePairDeviceSign, walinktest.StageLoginReconnect,
		walinktest.StageLogin, walinktest.StageAfterLogin, walinktest.StageFirstMinute, walinktest.StageRemoval,
	}
}

// actions returns all actions of walinktest by their names, made from the fields of the order.
func (o order) actions() map[string]walinktest.Action {
	var attrs []string
	for name, value := range o.Attrs {
		attrs = append(attrs, name, value)
	}
	return map[string]walinktest.Action{
		"pass": walinktest.Pass(), "delay": walinktest.Delay(o.After.Duration),
		"refuse": walinktest.Refuse(o.Code), "rate_limit": walinktest.RateLimit(o.Backoff.Duration),
		"failure": walinktest.Failure(o.Code, attrs...), "stream_error": walinktest.StreamError(o.Code, o.Conflict),
		"send": walinktest.Send(o.Nodes...), "say": walinktest.Say(o.Said),
		"silence": walinktest.Silence(), "drop": walinktest.Drop(), "malformed": walinktest.Malformed(),
		"bad_hmac": walinktest.BadHMAC(), "bad_signature": walinktest.BadSignature(),
		"refresh_qr": walinktest.RefreshQR(), "refresh_code": walinktest.RefreshCode(o.Manual),
		"expired_certificate": walinktest.ExpiredCertificate(),
		"twice":               walinktest.Twice(), "overtaken": walinktest.Overtaken(),
	}
}

func (c *control) script(_ *http.Request, body []byte) (any, error) {
	var o order
	if err := decode(body, &o); err != nil {
		return nil, err
	}
	all := o.actions()
	action, ok := all[o.Action]
	switch {
	case !slices.Contains(stages(), o.Stage):
		return nil, badRequest("there is no stage %q, but %q", o.Stage, stages())
	case !ok && o.Action != "":
		return nil, badRequest("there is no action %q, but %q", o.Action, slices.Sorted(maps.Keys(all)))
	case o.Code != 0 && (o.Code < 100 || o.Code > 999): // net/http sends no other status
		return nil, badRequest("a code has three digits")
	case o.Times < -1, o.After.Duration < 0, o.Backoff.Duration < 0:
		return nil, badRequest("no number may be negative, but times, which is -1 for ever")
	}
	for _, field := range []struct {
		name         string
		given        bool
		needs, takes string // the actions that need the field, and the others that may have it
	}{
		{"code", o.Code != 0, "refuse failure", "stream_error"},
		{"backoff", o.Backoff.Duration != 0, "rate_limit", ""},
		{"attrs", o.Attrs != nil, "", "failure"},
		{"nodes", o.Nodes != nil, "send", ""},
		{"said", o.Said != "", "say", ""},
		{"conflict", o.Conflict != "", "", "stream_error"},
		{"manual", o.Manual, "", "refresh_code"},
		{"times", o.Times != 0, "", o.Action},
		{"after", o.After.Duration != 0, "delay", o.Action},
	} {
		needed := slices.Contains(strings.Fields(field.needs), o.Action)
		if needed && !field.given {
			return nil, badRequest("the action %q needs %q", o.Action, field.name)
		}
		if field.given && !needed && !slices.Contains(strings.Fields(field.takes), o.Action) {
			return nil, badRequest("the action %q takes no %q", o.Action, field.name)
		}
	}
	action = action.After(o.After.Duration).Times(o.Times)
	switch {
	case !ok:
		c.srv.Script(o.Stage)
	case o.Times < 0:
		c.srv.Script(o.Stage, action.Always())
	default:
		c.srv.Script(o.Stage, action)
	}
	return struct{}{}, nil
}
