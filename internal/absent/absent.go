// Package absent finds a nil inside an interface.
package absent

import "reflect"

// Is reports whether v is nil, or an interface with a nil pointer, map, slice, func or
// channel in it, such as a variable of a type that implements an interface and was
// never set.
func Is(v any) bool {
	if v == nil {
		return true
	}
	switch value := reflect.ValueOf(v); value.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return value.IsNil()
	default:
		return false
	}
}
