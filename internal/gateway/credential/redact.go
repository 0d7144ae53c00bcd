package credential

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// redacted stands for every credential in print.
const redacted = "[credential]"

// Format implements fmt.Formatter for every verb.
func (v Value) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (v Value) String() string { return redacted }

// MarshalText implements encoding.TextMarshaler.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalLog implements logr.Marshaler.
func (v Value) MarshalLog() any { return redacted }
