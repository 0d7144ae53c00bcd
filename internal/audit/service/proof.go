package service

import (
	"math"
	"net/http"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/wire"
)

// inclusionProof shows that an entry is in the tree of a size, as in RFC 6962, section 2.1.1. Hashes
// are in base64.
type inclusionProof struct {
	Epoch    uint64   `json:"epoch"`
	Index    uint64   `json:"index"`
	Size     uint64   `json:"size"`
	Root     []byte   `json:"root"`
	LeafHash []byte   `json:"leaf_hash"`
	Hashes   [][]byte `json:"hashes"`
	// Checkpoint is the newest signed head. Where it is of another size than the proof, a consistency
	// proof leads from the one to the other.
	Checkpoint string `json:"checkpoint"`
}

// consistencyProof shows that the tree of one size begins with that of another, as in RFC 6962,
// section 2.1.2.
type consistencyProof struct {
	Epoch      uint64   `json:"epoch"`
	From       uint64   `json:"from"`
	To         uint64   `json:"to"`
	FromRoot   []byte   `json:"from_root"`
	ToRoot     []byte   `json:"to_root"`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

func (s *service) inclusion(w http.ResponseWriter, r *http.Request, who user.Info) error {
	given, head, raw, err := s.proofRequest(r, who, "epoch", "index", "size")
	if err != nil {
		return err
	}
	size, err := given.upTo("size", 1, head.Size)
	if err != nil {
		return err
	}
	place, err := given.number("index", 0, size-1)
	if err != nil {
		return err
	}
	builder, err := client.NewProofBuilder(r.Context(), size, tlog.Tiles(s.Tree, head.Size))
	if err != nil {
		return err
	}
	hashes, err := builder.InclusionProof(r.Context(), place)
	if err != nil {
		return err
	}
	entry, err := s.entries.At(r.Context(), place, head.Size)
	if err != nil {
		return err
	}
	root, err := tlog.RootAt(r.Context(), s.Tree, size, head.Size)
	if err != nil {
		return err
	}
	return s.give(w, inclusionProof{
		Epoch: s.Tree.Epoch(), Index: place, Size: size, Root: root,
		LeafHash: rfc6962.DefaultHasher.HashLeaf(entry.Raw), Hashes: orNone(hashes), Checkpoint: string(raw),
	})
}

func (s *service) consistency(w http.ResponseWriter, r *http.Request, who user.Info) error {
	given, head, raw, err := s.proofRequest(r, who, "epoch", "from", "to")
	if err != nil {
		return err
	}
	to, err := given.upTo("to", 1, head.Size)
	if err != nil {
		return err
	}
	from, err := given.number("from", 1, to)
	if err != nil {
		return err
	}
	builder, err := client.NewProofBuilder(r.Context(), to, tlog.Tiles(s.Tree, head.Size))
	if err != nil {
		return err
	}
	hashes, err := builder.ConsistencyProof(r.Context(), from, to)
	if err != nil {
		return err
	}
	fromRoot, err := tlog.RootAt(r.Context(), s.Tree, from, head.Size)
	if err != nil {
		return err
	}
	toRoot, err := tlog.RootAt(r.Context(), s.Tree, to, head.Size)
	if err != nil {
		return err
	}
	return s.give(w, consistencyProof{
		Epoch: s.Tree.Epoch(), From: from, To: to, FromRoot: fromRoot, ToRoot: toRoot,
		Hashes: orNone(hashes), Checkpoint: string(raw),
	})
}

// proofRequest is what both proofs begin with: the right, the parameters, the epoch, the checkpoint.
func (s *service) proofRequest(r *http.Request, who user.Info, names ...string) (parameters, tlog.Head, []byte, error) {
	none := tlog.Head{}
	if err := s.allow(r, who, access.Get, ""); err != nil {
		return nil, none, nil, err
	}
	given, err := parseParameters(r.URL.RawQuery, names...)
	if err != nil {
		return nil, none, nil, err
	}
	epoch, err := given.number("epoch", 1, math.MaxInt64)
	if err != nil {
		return nil, none, nil, err
	}
	if epoch != s.Tree.Epoch() {
		return nil, none, nil, problem(wire.NotFound, "epoch %d is not open here; the log is in epoch %d", epoch, s.Tree.Epoch())
	}
	raw, err := s.Tree.ReadCheckpoint(r.Context())
	if err != nil {
		return nil, none, nil, err
	}
	head, err := s.Tree.Heads().OpenHead(raw)
	if err != nil {
		return nil, none, nil, err
	}
	if head.Size == 0 {
		return nil, none, nil, problem(wire.NotFound, "the log has no records yet")
	}
	return given, head, raw, nil
}

// upTo is a number that is the most where it is absent.
func (p parameters) upTo(name string, least, most uint64) (uint64, error) {
	if _, found := p[name]; !found {
		return most, nil
	}
	return p.number(name, least, most)
}

// orNone is an empty list for none: a proof may have no hashes.
func orNone(hashes [][]byte) [][]byte {
	if hashes == nil {
		return [][]byte{}
	}
	return hashes
}
