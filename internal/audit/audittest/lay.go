package audittest

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// Laid is a log that was laid out as Tessera lays it, in a minute where a million appends take many. Its
// records are as long as those of a real one, and not linked: the index reads no links.
type Laid struct {
	client.FileFetcher
	head tlog.Head
}

// Head is the one head that it has.
func (l *Laid) Head() tlog.Head { return l.head }

// Lay lays out a log of missions, of five records each, in a folder.
func Lay(t testing.TB, folder string, missions int) *Laid {
	t.Helper()
	write := func(path string, data []byte) {
		path = filepath.Join(folder, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	tiles := map[uint][]byte{}
	var bundle []byte
	for m := range missions {
		for n := range 5 {
			record := Record(m, n)
			record.PrevHash, record.Hash = audit.Zero, audit.Zero
			raw, err := audit.Encode(record)
			if err != nil {
				t.Fatal(err)
			}
			bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(raw))), raw...) //nolint:gosec // G115: audit.MaxBytes fits
			if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(raw), func(id compact.NodeID, hash []byte) {
				if id.Level%8 == 0 {
					level := id.Level / 8
					tiles[level] = append(tiles[level], hash...)
					if len(tiles[level]) == 256*32 {
						write(layout.TilePath(uint64(level), id.Index/256, 0), tiles[level])
						tiles[level] = nil
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			if end := tree.End(); end%256 == 0 {
				write(layout.EntriesPath(end/256-1, 0), bundle)
				bundle = nil
			}
		}
	}
	size := tree.End()
	for level, hashes := range tiles {
		if len(hashes) > 0 {
			index := size >> (8 * (level + 1))
			write(layout.TilePath(uint64(level), index, uint8(len(hashes)/32)), hashes) //nolint:gosec // G115: a full tile is written above
		}
	}
	if len(bundle) > 0 {
		write(layout.EntriesPath(size/256, uint8(size%256)), bundle)
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Laid{FileFetcher: client.FileFetcher{Root: folder}, head: tlog.Head{Size: size, Root: root}}
}
