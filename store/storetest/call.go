package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	wastore "go.mau.fi/whatsmeow/store"
)

// call is one call of a method of one of whatsmeow's store interfaces. The
// interface is named by its field in [wastore.Device].
type call struct {
	field, method string
	args          []any // the arguments after ctx; variadic ones are a slice
}

// name identifies the method for the generators and the allowed differences.
func (c call) name() string { return c.field + "." + c.method }

// reading reports whether a method changes nothing.
func reading(method string) bool {
	return method != "GetOrGenPreKeys" && slices.ContainsFunc([]string{"Get", "Has", "Is", "Uploaded"}, func(prefix string) bool {
		return strings.HasPrefix(method, prefix)
	})
}

// String returns the call as one would write it, with long arguments shortened.
func (c call) String() string {
	args := make([]string, len(c.args))
	for i, arg := range c.args {
		args[i] = short(arg)
	}
	return c.name() + "(" + strings.Join(args, ", ") + ")"
}

func short(v any) string {
	const limit = 200
	text := fmt.Sprintf("%+v", v)
	switch v := v.(type) {
	case string:
		text = fmt.Sprintf("%q", v)
	case []byte:
		text = fmt.Sprintf("%x", v)
	case *wastore.Device:
		text = "device"
	case func(context.Context) error:
		text = "fn"
	}
	if len(text) > limit {
		text = fmt.Sprintf("%s… (%d bytes)", text[:limit], len(text))
	}
	return text
}

// answer is the result of a call.
type answer struct {
	results []any // without the error
	err     error
}

// errPanic is the error of a call that has panicked.
var errPanic = errors.New("the call panicked")

// on makes the call, with copies of its arguments, because an implementation
// may keep slices and maps of its caller, as sqlstore does.
func (c call) on(ctx context.Context, device *wastore.Device) (a answer) {
	defer func() {
		if r := recover(); r != nil {
			a = answer{err: fmt.Errorf("%w: %v", errPanic, r)}
		}
	}()
	method := reflect.ValueOf(device).Elem().FieldByName(c.field).MethodByName(c.method)
	in := []reflect.Value{reflect.ValueOf(ctx)}
	for _, arg := range c.args {
		in = append(in, clone(reflect.ValueOf(arg)))
	}
	invoke := method.Call
	if method.Type().IsVariadic() {
		invoke = method.CallSlice
	}
	out := invoke(in)
	last := len(out) - 1
	a.err, _ = reflect.TypeAssert[error](out[last])
	for _, value := range out[:last] {
		a.results = append(a.results, value.Interface())
	}
	return a
}

func clone(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(clone(v.Index(i)))
		}
		return out
	case reflect.Map:
		out := reflect.MakeMap(v.Type())
		for entries := v.MapRange(); entries.Next(); {
			out.SetMapIndex(entries.Key(), clone(entries.Value()))
		}
		return out
	default:
		return v
	}
}

// method is a method of whatsmeow's stores.
type method struct{ field, name string }

// methods lists the methods of all stores of a device, in the order of the
// fields, so that methods of a later whatsmeow are found too. The logger is no
// store.
func methods() []method {
	var all []method
	device := reflect.TypeFor[wastore.Device]()
	for field := range device.Fields() {
		if field.Type.Kind() != reflect.Interface || field.Type.PkgPath() != device.PkgPath() {
			continue
		}
		for m := range field.Type.Methods() {
			all = append(all, method{field.Name, m.Name})
		}
	}
	return all
}

// unknown returns an error for each method of whatsmeow for which the suite has
// no arguments.
func unknown(all []method, known map[string]generator) error {
	var errs []error
	for _, m := range all {
		if known[m.field+"."+m.name] == nil {
			errs = append(errs, fmt.Errorf("whatsmeow's Device.%s has a method %s, for which storetest has no generator: it is not tested", m.field, m.name))
		}
	}
	return errors.Join(errs...)
}
