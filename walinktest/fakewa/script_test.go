package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/walink/walink/walinktest"
)

// TestEveryStageAndEveryActionHasItsName reads the source of walinktest.
func TestEveryStageAndEveryActionHasItsName(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../script.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := func(expr ast.Expr, name string) bool {
		ident, ok := expr.(*ast.Ident)
		return ok && ident.Name == name
	}
	word := regexp.MustCompile(`([a-z])([A-Z])`)
	var wantStages []walinktest.Stage
	var wantActions []string
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if value, ok := spec.(*ast.ValueSpec); ok && value.Type != nil && named(value.Type, "Stage") {
					text, _ := value.Values[0].(*ast.BasicLit)
					stage, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					wantStages = append(wantStages, walinktest.Stage(stage))
				}
			}
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.IsExported() && d.Type.Results != nil && named(d.Type.Results.List[0].Type, "Action") {
				wantActions = append(wantActions, strings.ToLower(word.ReplaceAllString(d.Name.Name, "${1}_$2")))
			}
		}
	}
	if got := stages(); !slices.Equal(got, wantStages) {
		t.Errorf("stages %q, want %q", got, wantStages)
	}
	slices.Sort(wantActions)
	if got := slices.Sorted(maps.Keys(order{}.actions())); !slices.Equal(got, wantActions) {
		t.Errorf("actions %q, want %q", got, wantActions)
	}
}

// TestOrdersBecomeActions has an order for each action that has arguments. TestScriptTimes has times.
func TestOrdersBecomeActions(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]walinktest.Action{
		`"delay", "after": "2s"`:                      walinktest.Delay(2 * time.Second),
		`"refuse", "code": 403`:                       walinktest.Refuse(403),
		`"rate_limit", "backoff": "1h"`:               walinktest.RateLimit(time.Hour),
		`"failure", "code": 503`:                      walinktest.Failure(503),
		`"failure", "code": 402, "attrs": {"a": "b"}`: walinktest.Failure(402, "a", "b"),
		`"refresh_code", "manual": true`:              walinktest.RefreshCode(true),
		`"stream_error"`:                              walinktest.StreamError(0, ""),
		`"say", "said": "No."`:                        walinktest.Say("No."),
		`"send", "nodes": [{"tag": "ib", "attrs": {"from": "s.whatsapp.net"}, "content": [{"tag": "info", "content": "AQI="}]}]`: walinktest.Send(
			waBinary.Node{
				Tag: "ib", Attrs: waBinary.Attrs{"from": types.ServerJID},
				Content: []waBinary.Node{{Tag: "info", Content: []byte{1, 2}}},
			}),
		`"stream_error", "code": 503, "conflict": "x"`: walinktest.StreamError(503, "x"),
	} {
		var o order
		if err := decode([]byte(`{"stage": "login", "action": `+body+`}`), &o); err != nil {
			t.Errorf("%s: %v", body, err)
		} else if got := o.actions()[o.Action]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
	for name, want := range map[string]walinktest.Action{
		"pass":                walinktest.Pass(),
		"silence":             walinktest.Silence(),
		"drop":                walinktest.Drop(),
		"malformed":           walinktest.Malformed(),
		"bad_hmac":            walinktest.BadHMAC(),
		"bad_signature":       walinktest.BadSignature(),
		"refresh_qr":          walinktest.RefreshQR(),
		"refresh_code":        walinktest.RefreshCode(false),
		"expired_certificate": walinktest.ExpiredCertificate(),
		"twice":               walinktest.Twice(),
		"overtaken":           walinktest.Overtaken(),
	} {
		if got := (order{}).actions()[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
