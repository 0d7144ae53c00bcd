package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"

	"agentpassport.dev/operator/internal/audit"
)

// tileBits is how many levels of the tree one level of tiles spans.
const tileBits = layout.TileHeight

// scan reads a log from its beginning: every entry, every link and every tile.
type scan struct {
	reader Reader
	tree   *compact.Range
	trail  *audit.Trail
	// edge holds the hashes of the tiles that are not full yet, by level.
	edge map[uint64][][]byte
	// full holds tiles that have become full and are not compared yet.
	full []tile
	// marks are roots to be compared when the tree has their size.
	marks []Mark
	// visit sees each entry that holds; nil for nobody.
	visit func(audit.Entry) error
}

// tile is one tile of hashes as it follows from the entries.
type tile struct {
	level, index uint64
	hashes       [][]byte
}

func newScan(reader Reader) *scan {
	return &scan{
		reader: reader,
		tree:   (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0),
		trail:  audit.NewTrail(),
		edge:   map[uint64][][]byte{},
	}
}

// broken names the next record, which is the one that does not hold.
func (s *scan) broken(id, why string) error {
	return &audit.Break{Position: s.tree.End(), ID: id, Why: why}
}

// to reads on until it has size entries. A nil error means that all of them are there and linked,
// that all tiles of a tree of this size are those that follow from them, and that all marks up to it
// are met.
func (s *scan) to(ctx context.Context, size uint64) error {
	if err := s.meet(); err != nil {
		return err
	}
	for s.tree.End() < size {
		if err := s.bundle(ctx, size); err != nil {
			return err
		}
	}
	for level, hashes := range s.edge {
		if len(hashes) == 0 {
			continue
		}
		index := s.tree.End() >> (tileBits * (level + 1))
		if err := s.compare(ctx, tile{level: level, index: index, hashes: hashes}); err != nil {
			return err
		}
	}
	return nil
}

// bundle reads the rest of the bundle that the next entry is in.
func (s *scan) bundle(ctx context.Context, size uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	index, first := s.tree.End()/layout.EntryBundleWidth, s.tree.End()%layout.EntryBundleWidth
	last := min(size-index*layout.EntryBundleWidth, layout.EntryBundleWidth)
	entries, err := readBundle(ctx, s.reader, index, size)
	if err != nil {
		return s.broken("", err.Error())
	}
	leaves, err := readTile(ctx, s.reader, 0, index, size)
	if err != nil {
		return s.broken("", err.Error())
	}
	for i := first; i < last; i++ {
		if i >= uint64(len(entries)) {
			return s.broken("", fmt.Sprintf("the entry is missing: its bundle has %d, not %d", len(entries), last))
		}
		if i >= uint64(len(leaves)) {
			return s.broken("", fmt.Sprintf("the leaf is missing: its tile has %d, not %d", len(leaves), last))
		}
		if err := s.entry(entries[i], leaves[i]); err != nil {
			return err
		}
	}
	for _, done := range s.full {
		if err := s.compare(ctx, done); err != nil {
			return err
		}
	}
	s.full = s.full[:0]
	return nil
}

// entry takes in the next entry.
func (s *scan) entry(raw, leaf []byte) error {
	hash := rfc6962.DefaultHasher.HashLeaf(raw)
	record, err := audit.Parse(raw)
	if err != nil {
		return s.broken("", err.Error())
	}
	if !bytes.Equal(hash, leaf) {
		return s.broken(record.ID, "the entry is not the one that its leaf in the tree is the hash of")
	}
	if err := s.trail.Add(record); err != nil {
		return err
	}
	if err := s.grow(hash); err != nil {
		return err
	}
	if err := s.meet(); err != nil {
		return err
	}
	if s.visit == nil {
		return nil
	}
	return s.visit(audit.Entry{Index: s.tree.End() - 1, Record: record})
}

// grow adds a leaf to the tree.
func (s *scan) grow(leaf []byte) error {
	return s.tree.Append(leaf, func(id compact.NodeID, hash []byte) {
		if id.Level%tileBits != 0 {
			return
		}
		level := uint64(id.Level / tileBits)
		s.edge[level] = append(s.edge[level], hash)
		if len(s.edge[level]) == layout.TileWidth {
			s.full = append(s.full, tile{level: level, index: id.Index / layout.TileWidth, hashes: s.edge[level]})
			s.edge[level] = nil
		}
	})
}

// compare holds a stored tile against what it has to be.
func (s *scan) compare(ctx context.Context, want tile) error {
	got, err := readTile(ctx, s.reader, want.level, want.index, s.tree.End())
	if err != nil {
		first := (want.index * layout.TileWidth) << (tileBits * want.level)
		return &audit.Break{Position: first, Why: err.Error()}
	}
	for i, hash := range want.hashes {
		if i >= len(got) || !bytes.Equal(got[i], hash) {
			first := (want.index*layout.TileWidth + uint64(i)) << (tileBits * want.level)
			return &audit.Break{Position: first, Why: fmt.Sprintf(
				"hash %d of tile %d on level %d does not follow from the entries", i, want.index, want.level)}
		}
	}
	return nil
}

// root is the root of the tree so far.
func (s *scan) root() ([]byte, error) {
	if s.tree.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	return s.tree.GetRootHash(nil)
}

// meet compares the marks of the tree's size.
func (s *scan) meet() error {
	for _, mark := range s.marks {
		if mark.Size != s.tree.End() {
			continue
		}
		root, err := s.root()
		if err != nil {
			return err
		}
		if !bytes.Equal(root, mark.Root) {
			return &audit.Break{Position: mark.Size, Why: fmt.Sprintf(
				"the first %d records are not those that %s was signed for", mark.Size, mark.From)}
		}
	}
	return nil
}

// readBundle is the entries of a bundle as far as a tree of this size has them.
func readBundle(ctx context.Context, reader Reader, index, size uint64) ([][]byte, error) {
	raw, err := reader.ReadEntryBundle(ctx, index, layout.PartialTileSize(0, index, size))
	if err != nil {
		return nil, fmt.Errorf("entry bundle %d cannot be read: %w", index, withoutPath(err))
	}
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, fmt.Errorf("entry bundle %d is damaged: %w", index, err)
	}
	return bundle.Entries, nil
}

// readTile is the hashes of a tile as far as a tree of this size has them.
func readTile(ctx context.Context, reader Reader, level, index, size uint64) ([][]byte, error) {
	raw, err := reader.ReadTile(ctx, level, index, layout.PartialTileSize(level, index, size))
	if err != nil {
		return nil, fmt.Errorf("tile %d on level %d cannot be read: %w", index, level, withoutPath(err))
	}
	var hashes api.HashTile
	if err := hashes.UnmarshalText(raw); err != nil {
		return nil, fmt.Errorf("tile %d on level %d is damaged: %w", index, level, err)
	}
	return hashes.Nodes, nil
}

// withoutPath is the reason alone: the file that was tried last is not always the one that is missing.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
