package tlog_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

// slowDisk takes as long as a test wants for every batch.
type slowDisk struct {
	tlog.Storage
	// begun gets a value when a batch comes, and each goes on with a value from allowed.
	begun, allowed chan struct{}
}

// Append implements tlog.Storage.
func (s *slowDisk) Append(ctx context.Context, entries [][]byte) error {
	s.begun <- struct{}{}
	<-s.allowed
	return s.Storage.Append(ctx, entries)
}

// Who does not wait for a slow disk knows nothing of their records; the same call again finds out, and
// nothing is there twice.
func TestASlowDisk(t *testing.T) {
	signer, key := keys(t)
	path := t.TempDir()
	storage, err := posix.Open(path, signer)
	if err != nil {
		t.Fatal(err)
	}
	disk := &slowDisk{Storage: storage, begun: make(chan struct{}, 10), allowed: make(chan struct{}, 10)}
	log, err := tlog.Open(context.Background(), disk, signer, key)
	if err != nil {
		t.Fatal(err)
	}
	records := mission("slow", 5)
	impatient, leave := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() {
		_, err := log.Append(impatient, records...)
		left <- err
	}()
	<-disk.begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("an append that nobody waits for gives %v", err)
	}
	if size := log.Head().Size; size != 0 {
		t.Fatalf("a head of %d records was signed before they were on disk", size)
	}
	disk.allowed <- struct{}{}
	first := add(t, log, records...)
	if diff := cmp.Diff(first, add(t, log, records...)); diff != "" {
		t.Error(diff)
	}
	if size := log.Head().Size; size != uint64(len(records)) {
		t.Errorf("%d records, want %d", size, len(records))
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	mustProve(t, path, key, first)
}
