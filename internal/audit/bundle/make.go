package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/proof"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// Make checks a folder and packs what an agent did from a time on and before another. Where the folder does
// not hold, the error is a proof.Break. Options.Visit is not used.
func Make(ctx context.Context, options proof.Options, agent Agent, from, to time.Time) (*Bundle, error) {
	if !from.Before(to) {
		return nil, fmt.Errorf("from %s to %s is no time", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	ring, err := proof.Ring(options)
	if err != nil {
		return nil, err
	}
	picked := newPick(agent, from, to)
	options.Visit = picked.visit
	report, err := proof.Folder(ctx, options)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Format: Format, Agent: agent, From: from.UTC(), To: to.UTC(), Keys: string(ring.Encode())}
	for i, tree := range report.Epochs {
		if tree.Records == 0 {
			continue // nothing of it is there
		}
		// A later epoch vouches for this one where it is the next.
		vouched := i+1 < len(report.Epochs) && report.Epochs[i+1].Epoch == tree.Epoch+1 && report.Epochs[i+1].Records > 0
		packed, err := pack(ctx, options.Dir, ring, tree, picked.places(tree.Epoch), vouched)
		if err != nil {
			return nil, fmt.Errorf("epoch %d: %w", tree.Epoch, err)
		}
		b.Epochs = append(b.Epochs, packed)
	}
	if len(b.Epochs) == 0 {
		return nil, errors.New("the log holds no record")
	}
	if _, err := Verify(b, options.Key, options.Policy); err != nil {
		return nil, fmt.Errorf("the folder was changed while it was read: %w", err)
	}
	return b, nil
}

// pack takes records of one epoch, with their proofs.
func pack(ctx context.Context, dir string, ring *keys.Ring, tree proof.Epoch, places []uint64, vouched bool) (Epoch, error) {
	path := epoch.Folder(dir, tree.Epoch)
	reader := cut{FileFetcher: client.FileFetcher{Root: path}, onDisk: tree.OnDisk}
	builder, err := client.NewProofBuilder(ctx, tree.Records, reader.ReadTile)
	if err != nil {
		return Epoch{}, err
	}
	packed := Epoch{Epoch: tree.Epoch, Entries: make([]Entry, 0, len(places))}
	if !vouched {
		checkpoint, err := reader.ReadCheckpoint(ctx)
		if err != nil {
			return Epoch{}, err
		}
		packed.Checkpoint = string(checkpoint)
		if err := packed.witness(ctx, path, ring, builder, tree.Records); err != nil {
			return Epoch{}, err
		}
	}
	for _, place := range places {
		entry, err := tlog.ReadEntry(ctx, reader, place, tree.OnDisk)
		if err != nil {
			return Epoch{}, err
		}
		raw, err := audit.Encode(entry.Record)
		if err != nil {
			return Epoch{}, err
		}
		hashes, err := builder.InclusionProof(ctx, place)
		if err != nil {
			return Epoch{}, err
		}
		packed.Entries = append(packed.Entries, Entry{Index: place, Record: string(raw), Proof: hashes})
	}
	return packed, nil
}

// witness adds the head with cosignatures, where there is one.
func (e *Epoch) witness(ctx context.Context, path string, ring *keys.Ring, builder *client.ProofBuilder, size uint64) error {
	raw, err := os.ReadFile(filepath.Join(path, epoch.WitnessedFile)) //nolint:gosec // G304: the caller says where the log is
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	head, err := ring.Heads(e.Epoch).OpenHead(raw)
	if err != nil {
		return err
	}
	e.Witnessed = string(raw)
	if head.Size > 0 && head.Size < size {
		e.Consistency, err = builder.ConsistencyProof(ctx, head.Size, size)
	}
	return err
}

// cut reads a tree of a smaller size out of the files of a larger one: the last tiles on disk are named by
// that.
type cut struct {
	client.FileFetcher
	onDisk uint64
}

// ReadTile reads a tile as far as it is asked for.
func (c cut) ReadTile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error) {
	raw, err := c.FileFetcher.ReadTile(ctx, level, index, layout.PartialTileSize(level, index, c.onDisk))
	if err != nil {
		return nil, err
	}
	const hash = 32
	if partial > 0 && len(raw) > int(partial)*hash {
		raw = raw[:int(partial)*hash]
	}
	return raw, nil
}
