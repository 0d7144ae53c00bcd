package service_test

import (
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
)

func entriesOf(t testing.TB, raw []byte) [][]byte {
	t.Helper()
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		t.Fatal(err)
	}
	return bundle.Entries
}

// defaultLeaves are the leaf hashes of a bundle.
func defaultLeaves(raw []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(bundle.Entries))
	for _, entry := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}
