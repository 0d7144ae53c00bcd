package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	strict "sigs.k8s.io/json"
)

const (
	// Format is the first field of every bundle.
	Format = "agentpassport.dev/audit-bundle/v1"
	// MaxBytes is the longest bundle that is read.
	MaxBytes = 512 << 20
	// maxProof is the longest proof: a tree has less than 2^64 records.
	maxProof = 64
)

// ErrBundle means that a file is no bundle. An error that wraps it says why.
var ErrBundle = errors.New("not an audit bundle")

// Bundle is a file of that format. Nothing in it is to be believed before it is verified.
type Bundle struct {
	Format string `json:"format"`
	// Agent, From and To are what was asked for: records of missions of this agent with a step from From on
	// and before To.
	Agent Agent     `json:"agent"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	// Keys is the keys file of the log.
	Keys string `json:"keys"`
	// Epochs are the trees, in order.
	Epochs []Epoch `json:"epochs"`
}

// Agent is the name of an AgentPassport.
type Agent struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Epoch is a part of a tree.
type Epoch struct {
	Epoch uint64 `json:"epoch"`
	// Checkpoint is the signed head; empty where the first record of the next epoch vouches for the tree.
	Checkpoint string `json:"checkpoint,omitempty"`
	// Witnessed is a head with cosignatures, and its Consistency with the head above.
	Witnessed   string   `json:"witnessed,omitempty"`
	Consistency [][]byte `json:"consistency,omitempty"`
	Entries     []Entry  `json:"entries"`
}

// Entry is one record and where it is.
type Entry struct {
	Index uint64 `json:"index"`
	// Record is its canonical JSON, as it is in the log.
	Record string `json:"record"`
	// Proof is the hashes from the record up to the root, as RFC 6962 has them.
	Proof [][]byte `json:"proof"`
}

// Parse reads a bundle. It checks no proof.
func Parse(raw []byte) (*Bundle, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBundle, len(raw), MaxBytes)
	}
	var b Bundle
	if failed, err := strict.UnmarshalStrict(raw, &b); err != nil || len(failed) > 0 {
		return nil, fmt.Errorf("%w: no JSON of one", ErrBundle)
	}
	if b.Format != Format {
		return nil, fmt.Errorf("%w: its format is %.100q, not %s", ErrBundle, b.Format, Format)
	}
	if len(b.Epochs) == 0 {
		return nil, fmt.Errorf("%w: it has no epoch", ErrBundle)
	}
	for i, epoch := range b.Epochs {
		if epoch.Epoch == 0 || i > 0 && epoch.Epoch <= b.Epochs[i-1].Epoch {
			return nil, fmt.Errorf("%w: its epochs are not in order", ErrBundle)
		}
		for _, entry := range epoch.Entries {
			if len(entry.Proof) > maxProof {
				return nil, fmt.Errorf("%w: a proof of %d hashes", ErrBundle, len(entry.Proof))
			}
		}
	}
	return &b, nil
}

// Write writes a bundle.
func (b *Bundle) Write(to io.Writer) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(b)
}
