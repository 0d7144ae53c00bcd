package capability

import (
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// codeNothing is the code's rest that says that there is nothing.
const codeNothing = "none"

// maxCode bounds a code, in bytes (see v1alpha1.CapabilityCode).
const maxCode = 256

// code is a CapabilityCode in its parts.
type code struct {
	verb     string
	segments []string
}

// parseCode reads a code by the grammar of v1alpha1.CapabilityCode; false where it is none.
func parseCode(text v1alpha1.CapabilityCode) (code, bool) {
	parts := strings.Split(string(text), ":")
	if len(text) > maxCode || len(parts) < 2 {
		return code{}, false
	}
	switch parts[0] {
	case "read", "write", "access", "spend", "expose", "approve":
	default:
		return code{}, false
	}
	for _, segment := range parts[1:] {
		if !validSegment(segment) {
			return code{}, false
		}
	}
	return code{verb: parts[0], segments: parts[1:]}, true
}

// validSegment: `*`, or letters, digits and `. _ / -`, not a mark first, with `*.` before them or not.
func validSegment(segment string) bool {
	if segment == "*" {
		return true
	}
	segment = strings.TrimPrefix(segment, "*.")
	for i := range len(segment) {
		switch c := segment[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("._/-", c) >= 0:
		default:
			return false
		}
	}
	return segment != ""
}

// nothing says whether the code is VERB:none.
func (c code) nothing() bool {
	return len(c.segments) == 1 && c.segments[0] == codeNothing
}

// covers says whether c is at least as wide as the other. Nothing is covered by every code of its verb, and covers
// nothing else.
func (c code) covers(other code) bool {
	if c.verb != other.verb {
		return false
	}
	if c.nothing() || other.nothing() {
		return other.nothing()
	}
	last := len(c.segments) - 1
	for i, segment := range c.segments {
		if i >= len(other.segments) {
			return false
		}
		if i == last && segment == "*" {
			return true
		}
		// The other's `*` at the end stands for all that follows: more than one segment.
		if i == len(other.segments)-1 && other.segments[i] == "*" {
			return false
		}
		if !segmentCovers(segment, other.segments[i]) {
			return false
		}
	}
	return len(c.segments) == len(other.segments)
}

func segmentCovers(wide, narrow string) bool {
	if wide == "*" || wide == narrow {
		return true
	}
	domain, below := strings.CutPrefix(wide, "*")
	if !below || narrow == "*" {
		return false
	}
	return len(narrow) > len(domain) && strings.HasSuffix(narrow, domain)
}

// codesOf gives a document's codes of a field.
func codesOf(codes *v1alpha1.CapabilityCodes, field v1alpha1.CapabilityField) []v1alpha1.CapabilityCode {
	if codes == nil {
		return nil
	}
	switch field {
	case v1alpha1.FieldReads:
		return codes.Reads
	case v1alpha1.FieldWrites:
		return codes.Writes
	case v1alpha1.FieldAccesses:
		return codes.Accesses
	case v1alpha1.FieldSpends:
		return codes.Spends
	case v1alpha1.FieldExposes:
		return codes.Exposes
	case v1alpha1.FieldApprovals:
		return codes.Approvals
	default:
		return nil
	}
}

// judgeCode holds one code of a package against an agent's codes of the same field.
func judgeCode(need v1alpha1.CapabilityCode, agent []v1alpha1.CapabilityCode) judgement {
	needed, ok := parseCode(need)
	if !ok {
		return unclear(RuleCodes, "%s is not a capability code; see docs/compatibility.md for the grammar", quote(string(need)))
	}
	if needed.nothing() {
		return covered(RuleNoNeed, "%s says that nothing is needed", quote(string(need)))
	}
	for _, text := range agent {
		if has, ok := parseCode(text); ok && has.covers(needed) {
			return covered(RuleCodes, "the agent's code %s is at least as wide", quote(string(text)))
		}
	}
	return outside(RuleCodes, "none of the agent's codes for this field is as wide as %s", quote(string(need)))
}
