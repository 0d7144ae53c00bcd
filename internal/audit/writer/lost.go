package writer

import (
	"fmt"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// LostError means that the log does not hold what it once signed. It is not opened, so that nothing is
// written over what may still be found; a person brings a copy back, or begins a new epoch.
type LostError struct {
	// Epoch is the tree that is not whole.
	Epoch uint64
	// Head is its newest signed head that is known; of size 0 without root where none is.
	Head tlog.Head
	// Cause says what is missing or wrong; it may be an audit.Break.
	Cause error
}

// Error names the lost head, and the way on.
func (e *LostError) Error() string {
	head := "no signed head of it is known"
	if e.Head.Root != nil {
		head = fmt.Sprintf("its head of %d records (root %x) was signed", e.Head.Size, e.Head.Root)
	}
	return fmt.Sprintf("records of epoch %d of the audit log are lost: %s, and %v. "+
		"Bring the folder back from a copy, or, where there is none, go on without: auditlog begin-epoch", e.Epoch, head, e.Cause)
}

// Unwrap lets errors.Is find audit.ErrBreak and what else it was.
func (e *LostError) Unwrap() []error { return []error{e.Cause, audit.ErrBreak} }
