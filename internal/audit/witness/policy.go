package witness

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/transparency-dev/tessera"
	"golang.org/x/mod/sumdb/note"
)

// maxPolicy is the longest policy, in bytes.
const maxPolicy = 64 << 10

// ErrPolicy means that a policy is none. An error that wraps it says why.
var ErrPolicy = errors.New("not a policy of witnesses")

// Policy is which witnesses there are, and how many of them have to sign.
type Policy struct {
	group     tessera.WitnessGroup
	witnesses []endpoint
}

type endpoint struct {
	url string
	key note.Verifier
}

// ParsePolicy reads a policy in the format that Tessera and Sigsum use:
//
//	witness <name> <verifier key, of cosignature/v1> <url>
//	group   <name> <number|any|all> <name>...
//	quorum  <name|none>
//
// The log asks all witnesses that the quorum names, over HTTPS, or over HTTP where the URL says so.
func ParsePolicy(raw []byte) (*Policy, error) {
	if len(raw) > maxPolicy {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrPolicy, len(raw), maxPolicy)
	}
	group, err := tessera.NewWitnessGroupFromPolicy(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	p := &Policy{group: group}
	for address, key := range group.Endpoints() {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Host == "" || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.User != nil {
			return nil, fmt.Errorf("%w: the URL of witness %s has to be like https://witness.example.com", ErrPolicy, key.Name())
		}
		p.witnesses = append(p.witnesses, endpoint{url: address, key: key})
	}
	slices.SortFunc(p.witnesses, func(a, b endpoint) int { return strings.Compare(a.key.Name(), b.key.Name()) })
	return p, nil
}

// Satisfied reports whether enough witnesses have signed a head. It does not look at the log's signature.
func (p *Policy) Satisfied(checkpoint []byte) bool { return p.group.Satisfied(checkpoint) }

// Signed are the names of the witnesses of the policy that have signed a head.
func (p *Policy) Signed(checkpoint []byte) []string {
	var names []string
	for _, witness := range p.witnesses {
		if opened, err := note.Open(checkpoint, note.VerifierList(witness.key)); err == nil && len(opened.Sigs) > 0 {
			names = append(names, witness.key.Name())
		}
	}
	return names
}

// Len is how many witnesses are asked.
func (p *Policy) Len() int { return len(p.witnesses) }
