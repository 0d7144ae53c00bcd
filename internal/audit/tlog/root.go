package tlog

import (
	"context"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

// Tiles reads the tiles of a tree whose published head has this size. It takes them as wide as they
// are, also for a proof about an earlier size: partial tiles are there for published sizes alone.
func Tiles(reader Reader, head uint64) client.TileFetcherFunc {
	return func(ctx context.Context, level, index uint64, _ uint8) ([]byte, error) {
		return reader.ReadTile(ctx, level, index, layout.PartialTileSize(level, index, head))
	}
}

// RootAt is the root of the tree when it had a size, as its tiles say. head is the size of a published
// head, no smaller.
func RootAt(ctx context.Context, reader Reader, size, head uint64) ([]byte, error) {
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	nodes, err := client.FetchRangeNodes(ctx, size, Tiles(reader, head))
	if err != nil {
		return nil, err
	}
	tree, err := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewRange(0, size, nodes)
	if err != nil {
		return nil, err
	}
	return tree.GetRootHash(nil)
}
