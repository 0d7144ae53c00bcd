package offline

import (
	"fmt"
	"os"
	"time"

	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/proof"
	"agentpassport.dev/operator/internal/audit/witness"
	"agentpassport.dev/operator/internal/commandline"
)

// readKey is the public key that --key gives, as text or as a file with that.
func readKey(given string) (keys.Public, error) {
	if given == "" {
		return keys.Public{}, commandline.Misusef("--key is required: a verifier key of the log, <name>+<hash>+<key>, or a file with one")
	}
	key, err := keys.ParsePublic(given)
	if err == nil {
		return key, nil
	}
	raw, readErr := os.ReadFile(given) //nolint:gosec // G304: the caller says which file
	if readErr != nil {
		return keys.Public{}, fmt.Errorf("--key %s: %w, and no file with one: %w", given, err, readErr)
	}
	if key, err = keys.ParsePublic(string(raw)); err != nil {
		return keys.Public{}, fmt.Errorf("--key %s: %w", given, err)
	}
	return key, nil
}

// readHeads reads the files that --head names.
func readHeads(paths []string) ([]proof.Known, error) {
	all := make([]proof.Known, len(paths))
	for i, path := range paths {
		raw, err := os.ReadFile(path) //nolint:gosec // G304: the caller says which file
		if err != nil {
			return nil, fmt.Errorf("--head: %w", err)
		}
		if all[i], err = proof.ParseKnown(path, raw); err != nil {
			return nil, fmt.Errorf("--head: %w", err)
		}
	}
	return all, nil
}

// readPolicy reads the file that --witnesses names; nil for none.
func readPolicy(path string) (*witness.Policy, error) {
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path) //nolint:gosec // G304: the caller says which file
	if err != nil {
		return nil, fmt.Errorf("--witnesses: %w", err)
	}
	policy, err := witness.ParsePolicy(raw)
	if err != nil {
		return nil, fmt.Errorf("--witnesses %s: %w", path, err)
	}
	return policy, nil
}

// readTime reads a time, or a day, which begins at midnight UTC.
func readTime(flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, commandline.Misusef("--%s %q: want a time such as 2026-08-01T12:00:00Z, or a day such as 2026-08-01", flag, text)
}
