package posix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"agentpassport.dev/operator/internal/audit/tlog"
)

// Lock takes a file for this process, and makes it where it is not there. It fails with tlog.ErrInUse while
// another has it. Closing the file gives it back.
func Lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: the caller says where the log is
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = tlog.ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Dir(path), err), file.Close())
	}
	return file, nil
}

// ReplaceFile puts a file that all may read in the place of another, at once and on disk, or leaves the other.
func ReplaceFile(path string, data []byte) (err error) {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) //nolint:gosec // G302: a checkpoint is public
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir brings the names in a directory onto the disk.
func SyncDir(path string) error {
	dir, err := os.Open(path) //nolint:gosec // G304: the caller says where the log is
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
