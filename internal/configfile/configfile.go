// Package configfile reads the config file that the manager and the gateways share.
package configfile

import (
	"fmt"
	"os"

	"agentpassport.dev/operator/internal/review"
)

// Thresholds are those of the file that --config-file names; the defaults where path is empty. The error
// names the flag and the file.
func Thresholds(path string) (review.Thresholds, error) {
	if path == "" {
		return review.DefaultThresholds(), nil
	}
	config, err := os.ReadFile(path) //nolint:gosec // the file that the operator's flag names
	if err != nil {
		return review.Thresholds{}, fmt.Errorf("--config-file: %w", err)
	}
	thresholds, err := review.ParseConfig(config)
	if err != nil {
		return review.Thresholds{}, fmt.Errorf("--config-file %s: %w", path, err)
	}
	return thresholds, nil
}
