package api

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

func itoa(n int) string { return strconv.Itoa(n) }

func lastDot(path string) int { return strings.LastIndexByte(path, '.') }

// typeName is what JSON calls a Go type.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Int32, reflect.Int64, reflect.Int:
		return "a whole number that fits " + itoa(t.Bits()) + " bits"
	default:
		return "an object"
	}
}

// moment is a time as this API writes it; nil where there is none.
func moment(t *metav1.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}

// strung turns names of one kind into strings; an empty list stays a list.
func strung[From ~string](from []From) []string {
	to := make([]string, len(from))
	for i := range from {
		to[i] = string(from[i])
	}
	return to
}

// named turns strings into names of one kind; an absent list stays absent.
func named[To ~string](from []string) []To {
	if from == nil {
		return nil
	}
	to := make([]To, len(from))
	for i := range from {
		to[i] = To(from[i])
	}
	return to
}

// constraintOf is a constraint as this API writes it.
func constraintOf(constraint v1alpha1.Constraint) constraintBody {
	told := constraintBody{Path: constraint.Path, Op: string(constraint.Op)}
	var err error
	if constraint.Value != nil {
		told.Value, err = json.Marshal(*constraint.Value)
	} else {
		told.Value, err = json.Marshal(constraint.Values)
	}
	if err != nil {
		told.Value = json.RawMessage("null") // strings always have a JSON form
	}
	return told
}
