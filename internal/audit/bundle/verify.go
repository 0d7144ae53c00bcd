package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"

	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/proof"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/witness"
)

// Verify checks a bundle by one key that is known for the log's, and by a policy of witnesses, nil for none.
// What does not hold is a proof.Break that names the first place.
func Verify(b *Bundle, key keys.Public, policy *witness.Policy) (*Report, error) {
	ring, err := keys.Parse([]byte(b.Keys))
	if err != nil {
		return nil, &proof.Break{Cause: err}
	}
	if err := ring.Pinned(key); err != nil {
		return nil, &proof.Break{Cause: err}
	}
	v := &verifier{bundle: b, ring: ring, policy: policy, report: newReport(b, ring, key)}
	// From the newest on: each epoch may be vouched for by the one after it.
	for i := len(b.Epochs) - 1; i >= 0; i-- {
		if err := v.epoch(b.Epochs[i]); err != nil {
			return nil, &proof.Break{Epoch: b.Epochs[i].Epoch, Cause: err}
		}
	}
	v.report.conclude()
	return v.report, nil
}

type verifier struct {
	bundle *Bundle
	ring   *keys.Ring
	policy *witness.Policy
	report *Report
	// next is the first record of the epoch after this one; nil where that is not in the bundle.
	next *audit.Record
}

func (v *verifier) epoch(e Epoch) error {
	head, err := v.head(e)
	if err != nil {
		return err
	}
	v.next = nil
	tree := newTree(e.Epoch, head)
	if err := v.witnessed(e, head, tree); err != nil {
		return err
	}
	trail := audit.NewTrail()
	for i, entry := range e.Entries {
		if i > 0 && entry.Index <= e.Entries[i-1].Index {
			return &audit.Break{Position: entry.Index, Why: "the entries are not in order"}
		}
		record, err := included(entry, head)
		if err != nil {
			return err
		}
		if err := v.belongs(e.Epoch, entry.Index, record); err != nil {
			return err
		}
		// What is left out in the middle of a chain of this agent leaves a link that leads nowhere.
		var gap *audit.Break
		if err := trail.Add(record); errors.As(err, &gap) {
			return &audit.Break{Position: entry.Index, ID: gap.ID, Why: gap.Why + ": a record before it is missing from the bundle"}
		} else if err != nil {
			return err
		}
		tree.take(v.bundle, entry.Index, record)
	}
	if e.Epoch > 1 && v.next == nil {
		return &audit.Break{Why: fmt.Sprintf("the first record of the epoch (%s) is missing from the bundle", audit.EpochBegin)}
	}
	v.report.add(tree)
	return nil
}

// head is what the entries of an epoch are proven against: a signed head, or what the next epoch says was
// kept of this one.
func (v *verifier) head(e Epoch) (tlog.Head, error) {
	if e.Checkpoint != "" {
		return v.ring.Heads(e.Epoch).OpenHead([]byte(e.Checkpoint))
	}
	if v.next == nil || v.next.Object.Name != keys.Origin(v.ring.Name(), e.Epoch+1) {
		return tlog.Head{}, errors.New("it has no signed head, and the next epoch, which could vouch for it, is not in the bundle")
	}
	root, err := hex.DecodeString(v.next.Facts.KeptDigest)
	return tlog.Head{Size: uint64(v.next.Facts.Kept), Root: root}, err //nolint:gosec // G115: Parse lets none below 0 pass
}

// witnessed checks the cosignatures, and that they are of the same tree.
func (v *verifier) witnessed(e Epoch, head tlog.Head, tree *Tree) error {
	if e.Checkpoint == "" {
		return nil
	}
	if e.Witnessed == "" {
		if v.policy != nil {
			return errors.New("it has no head with cosignatures")
		}
		return nil
	}
	raw := []byte(e.Witnessed)
	seen, err := v.ring.Heads(e.Epoch).OpenHead(raw)
	if err != nil {
		return fmt.Errorf("its head with cosignatures: %w", err)
	}
	if err := merkle.VerifyConsistency(rfc6962.DefaultHasher, seen.Size, head.Size, e.Consistency, seen.Root, head.Root); err != nil {
		return errors.New("the head with cosignatures is of another tree than the head: a fork")
	}
	tree.Witnessed = seen.Size
	if v.policy == nil {
		return nil
	}
	tree.Witnesses = v.policy.Signed(raw)
	if !v.policy.Satisfied(raw) {
		return fmt.Errorf("%d of the policy's witnesses have signed, which is no quorum", len(tree.Witnesses))
	}
	return nil
}

// included checks that an entry is a record and in the tree.
func included(entry Entry, head tlog.Head) (audit.Record, error) {
	record, err := audit.Parse([]byte(entry.Record))
	if err != nil {
		return audit.Record{}, &audit.Break{Position: entry.Index, Why: err.Error()}
	}
	leaf := rfc6962.DefaultHasher.HashLeaf([]byte(entry.Record))
	if err := merkle.VerifyInclusion(rfc6962.DefaultHasher, entry.Index, head.Size, leaf, entry.Proof, head.Root); err != nil {
		return audit.Record{}, &audit.Break{Position: entry.Index, ID: record.ID, Why: "its proof does not lead to the root that was signed"}
	}
	return record, nil
}

// belongs checks that a record is one that the bundle is about.
func (v *verifier) belongs(number, index uint64, record audit.Record) error {
	switch {
	case record.Action == audit.EpochBegin:
		if index != 0 || audit.Check(record) != nil || record.Object.Name != keys.Origin(v.ring.Name(), number) {
			return &audit.Break{Position: index, ID: record.ID, Why: "it is not the first record of this epoch"}
		}
		v.next = &record
	case record.Agent != nil && (record.Agent.Name != v.bundle.Agent.Name || record.Namespace != v.bundle.Agent.Namespace):
		return &audit.Break{Position: index, ID: record.ID, Why: "it is of another agent than the bundle says"}
	case record.Agent == nil && record.PassportJTI == "":
		return &audit.Break{Position: index, ID: record.ID, Why: "it is about no agent"}
	}
	return nil
}
