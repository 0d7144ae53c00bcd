package trail

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/trace"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/target"
)

// Call is one call as it was judged, or what became of it after that.
type Call struct {
	// Standing of the passport. A call of no known passport is not recorded.
	Standing *decision.Standing
	// Front that it came in by.
	Front string
	// Service and Method that it names, and where it goes.
	Service v1alpha1.ServiceName
	Method  string
	Target  target.Target
	// Code is why it was refused, or what failed; Allowed says that it was let out.
	Code    decision.Code
	Allowed bool
	// Declared says that the intent names the service.
	Declared bool
	// Caller is the username of who showed the passport; empty where nobody asked, or nobody knows.
	Caller string
	// Source is the address that it came from.
	Source string
	// Trace is the W3C trace of the request; zero for none.
	Trace trace.SpanContext
	// At is when it was judged, by the API server's clock.
	At time.Time
}

// Texts come from callers: each is cut to so many bytes.
const (
	maxName   = 253
	maxMethod = 32
	maxTarget = 2048
	maxSource = 64
	maxCaller = 512
)

// unknown is the actor where nobody showed who they are.
const unknown = "unknown"

// callRecord is the record of a call, the one of a gateway with this number.
func (g *Gateway) callRecord(call Call, sequence uint64) audit.Record {
	record := g.ofPassport(call.Standing, audit.CredentialProxy, g.Name+"/"+g.numbered(sequence), call.At)
	record.Outcome = outcome(call)
	if !call.Allowed {
		record.ErrorCode = string(call.Code)
	}
	record.Actor = audit.Actor{Username: unknown, Via: g.Username}
	if call.Caller != "" {
		record.Actor.Username = text(call.Caller, maxCaller)
	}
	record.Facts = &audit.Facts{Call: &audit.Call{
		Gateway: g.Name, Front: call.Front,
		Service: text(string(call.Service), maxName), Method: text(call.Method, maxMethod), Target: where(call.Target),
		Declared: call.Declared, Source: text(call.Source, maxSource),
	}}
	if call.Trace.HasTraceID() {
		record.TraceID = call.Trace.TraceID().String()
	}
	if call.Trace.HasSpanID() {
		record.SpanID = call.Trace.SpanID().String()
	}
	return record
}

// seenRecord says that all that this gateway saw of a passport is recorded before it.
func (g *Gateway) seenRecord(standing *decision.Standing, at time.Time) audit.Record {
	record := g.ofPassport(standing, audit.PassportSeen, g.Name, at)
	record.Actor = audit.Actor{Username: g.Username}
	record.Facts = &audit.Facts{Gateway: g.Name}
	return record
}

// ofPassport is what the records of a passport have in common.
func (g *Gateway) ofPassport(standing *decision.Standing, action audit.Action, which string, at time.Time) audit.Record {
	uid, step := string(standing.UID), string(action)+"/"+which
	return audit.Record{
		ID: audit.ID(uid, step), Time: moment(at), Layer: audit.Proxy, Action: action, Step: step, Outcome: audit.Success,
		Namespace:   standing.Namespace,
		Object:      audit.Object{Kind: "Passport", Name: standing.Name, UID: uid},
		Agent:       &audit.Agent{Name: standing.Agent, UID: string(standing.AgentUID)},
		PassportJTI: standing.JTI, SessionID: standing.SessionID,
	}
}

// numbered is a number that no other process of this gateway gives.
func (g *Gateway) numbered(sequence uint64) string {
	return g.Boot + "-" + strconv.FormatUint(sequence, 10)
}

// moment is a time as records have it, to the millisecond.
func moment(at time.Time) time.Time { return at.UTC().Truncate(time.Millisecond) }

// outcome tells a rule that forbade a call from something that failed, which is nobody's fault who called.
func outcome(call Call) audit.Outcome {
	if call.Allowed {
		return audit.Success
	}
	switch call.Code {
	case decision.CodeStateUnknown, decision.CodeCallerUnknown, decision.CodeCredential, decision.CodeAuditUnavailable, decision.CodeUpstream:
		return audit.Failure
	default:
		return audit.Blocked
	}
}

// where is scheme, host and path of a target, without its query; empty for none.
func where(to target.Target) string {
	if to.Scheme == "" {
		return ""
	}
	return text(to.Redacted(), maxTarget)
}

// text is what a caller wrote, without what looks like a credential, cut to so many bytes.
func text(written string, most int) string {
	// Redact looks at all of a text; of a very long one only the beginning is kept anyway.
	written = audit.Redact(strings.ToValidUTF8(cut(written, 8*most), "\uFFFD"))
	if len(written) <= most {
		return written
	}
	const more = "…"
	return cut(written, most-len(more)) + more
}

// cut gives the beginning of a text, of so many bytes at most, without half a character at its end.
func cut(whole string, most int) string {
	if len(whole) <= most {
		return whole
	}
	end := most
	for end > max(0, most-utf8.UTFMax) && !utf8.RuneStart(whole[end]) {
		end--
	}
	return whole[:end]
}
