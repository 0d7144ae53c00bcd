package writer

import (
	"os"
	"path/filepath"

	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

const lockFile = ".lock"

// lock keeps a second process out of a data directory, and makes the directory.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	return posix.Lock(filepath.Join(dir, lockFile))
}
