package review_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/review"
)

// Every number that a baseline may hold is read as it was written, and the API takes it.
func TestDecimalsAreExact(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, x float64) {
		text, err := review.FormatDecimal(x)
		if err != nil || !decimals.MatchString(string(text)) || len(text) > 32 {
			t.Fatalf("%v is written as %q: %v", x, text, err)
		}
		if got, err := review.ParseDecimal(text); err != nil || got != x {
			t.Fatalf("%v, written as %q, is read as %v: %v", x, text, got, err)
		}
	}
	for _, x := range []float64{0, math.Copysign(0, -1), 1, 0.1, 1.0 / 3, 1e-5, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		check(t, x)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.Float64Range(0, math.MaxFloat64).Draw(t, "x")) })

	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		if text, err := review.FormatDecimal(x); err == nil {
			t.Errorf("%v is written as %q", x, text)
		}
	}
}
