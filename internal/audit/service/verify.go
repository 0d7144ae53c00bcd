package service

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/wire"
)

// verified is how a verification went.
type verified struct {
	OK   bool   `json:"ok"`
	Size uint64 `json:"size"`
	// Break is the first place that does not hold.
	Break *brokenAt `json:"break,omitempty"`
}

// brokenAt is an audit.Break. Position is absent where no single record is to blame, such as with a
// checkpoint that is not signed.
type brokenAt struct {
	Position *uint64 `json:"position,omitempty"`
	ID       string  `json:"id,omitempty"`
	Why      string  `json:"why"`
}

// verify reads the whole log as it is on disk: every entry, link and tile, and the checkpoint.
func (s *service) verify(w http.ResponseWriter, r *http.Request, who user.Info) error {
	if err := s.allow(r, who, access.Get, ""); err != nil {
		return err
	}
	if _, err := parseParameters(r.URL.RawQuery); err != nil {
		return problem(wire.BadRequest, "GET /v1/verify takes no query parameters: it verifies everything")
	}
	if !s.verifying.TryLock() {
		return problem(wire.Busy, "another verification is running; try again when it has ended")
	}
	defer s.verifying.Unlock()
	head, err := s.check(r.Context())
	if errors.Is(err, audit.ErrBreak) {
		s.Log.Error(err, "the log does not verify")
		found := &brokenAt{Why: err.Error()}
		var broken *audit.Break
		if errors.As(err, &broken) {
			found = &brokenAt{Position: &broken.Position, ID: broken.ID, Why: broken.Why}
		}
		return s.give(w, verified{Size: s.Tree.Head().Size, Break: found})
	}
	if err != nil {
		return err
	}
	return s.give(w, verified{OK: true, Size: head.Size})
}

// errSetBack is a disk that holds less than, or something else than, what this process has signed.
var errSetBack = errors.Join(audit.ErrBreak, errors.New("the log on disk is not the one that this process has signed: it was replaced or set back"))

func (s *service) check(ctx context.Context) (tlog.Head, error) {
	signed := s.Tree.Head()
	head, err := tlog.Verify(ctx, s.Tree, s.Tree.Heads(), nil, nil)
	if err != nil {
		return tlog.Head{}, err
	}
	if head.Size < signed.Size {
		return tlog.Head{}, errSetBack
	}
	root, err := tlog.RootAt(ctx, s.Tree, signed.Size, head.Size)
	if err != nil {
		return tlog.Head{}, err
	}
	if !bytes.Equal(root, signed.Root) {
		return tlog.Head{}, errSetBack
	}
	return head, nil
}
