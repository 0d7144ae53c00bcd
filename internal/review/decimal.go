package review

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"agentpassport.dev/operator/api/v1alpha1"
)

// decimalText is how a v1alpha1.Decimal is written: without a sign, infinity or hexadecimals.
var decimalText = regexp.MustCompile(`^\d+(\.\d+)?(e[+-]\d+)?$`)

func parseDecimal(text v1alpha1.Decimal) (float64, error) {
	if !decimalText.MatchString(string(text)) {
		return 0, fmt.Errorf("%q is not a decimal number", clip(string(text), 32))
	}
	x, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, fmt.Errorf("%q is out of range", clip(string(text), 32))
	}
	return x, nil
}

// formatDecimal writes a number so that parseDecimal reads the same one.
func formatDecimal(x float64) (v1alpha1.Decimal, error) {
	if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return "", fmt.Errorf("%g is out of range", x)
	}
	return v1alpha1.Decimal(strconv.FormatFloat(x+0, 'g', -1, 64)), nil
}
