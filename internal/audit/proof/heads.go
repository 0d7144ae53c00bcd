package proof

import (
	"bytes"
	"fmt"

	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// Known is what is known of a log from elsewhere: heads, and keys where they came with them.
type Known struct {
	// From says where, such as a file name.
	From string
	// Checkpoints are signed heads, of any epochs.
	Checkpoints [][]byte
	// Ring is the keys; nil without.
	Ring *keys.Ring
}

// ParseKnown reads a signed head, or the manifest of the ConfigMap that mirrors one.
func ParseKnown(from string, raw []byte) (Known, error) {
	if _, err := epoch.EpochOf(raw); err == nil {
		return Known{From: from, Checkpoints: [][]byte{raw}}, nil
	}
	state, err := mirror.ParseManifest(raw)
	if err != nil {
		return Known{}, fmt.Errorf("%s is neither a signed head of an audit log nor the manifest of a ConfigMap with one: %w", from, err)
	}
	known := Known{From: from, Checkpoints: [][]byte{state.Checkpoint}}
	if len(state.Witnessed) > 0 {
		known.Checkpoints = append(known.Checkpoints, state.Witnessed)
	}
	known.Ring, err = keys.Parse(state.Keys)
	return known, err
}

// marks are the heads from elsewhere, by epoch.
type marks map[uint64][]tlog.Mark

// markAll opens every head. Two that are of one size and of two trees are a fork, whatever the folder says.
func markAll(ring *keys.Ring, all []Known) (marks, []Head, error) {
	found := marks{}
	var heads []Head
	for _, known := range all {
		for _, raw := range known.Checkpoints {
			number, err := epoch.EpochOf(raw)
			if err != nil {
				return nil, nil, &Break{Cause: fmt.Errorf("%s: %w", known.From, err)}
			}
			head, err := ring.Heads(number).OpenHead(raw)
			if err != nil {
				return nil, nil, &Break{Epoch: number, Cause: fmt.Errorf("%s: %w", known.From, err)}
			}
			mark := tlog.Mark{Head: head, From: "the head in " + known.From}
			if err := found.add(number, mark); err != nil {
				return nil, nil, err
			}
			heads = append(heads, Head{From: known.From, Epoch: number, Size: head.Size})
		}
	}
	return found, heads, nil
}

func (m marks) add(number uint64, mark tlog.Mark) error {
	for _, other := range m[number] {
		if other.Size == mark.Size && !bytes.Equal(other.Root, mark.Root) {
			return &Break{Epoch: number, Cause: fmt.Errorf(
				"a fork: %s and %s are both signed, both of %d records, and of two trees", other.From, mark.From, mark.Size)}
		}
	}
	m[number] = append(m[number], mark)
	return nil
}
