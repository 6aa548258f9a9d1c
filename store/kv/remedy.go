package kv

// fault is an error that knows what to do about it.
type fault struct{ text, remedy string }

// Error implements error.
func (f *fault) Error() string { return f.text }

// Remedy tells what to do about it, in one sentence for a person.
func (f *fault) Remedy() string { return f.remedy }
