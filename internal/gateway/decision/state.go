package decision

import "agentpassport.dev/operator/api/v1alpha1"

// judgeToken is step 1.
func judgeToken(s *Situation) (Code, string) {
	switch s.Token {
	case TokenValid:
		return Allowed, ""
	case TokenMissing:
		return CodeTokenMissing, "the call shows no passport: send its token in the header X-Passport-Token"
	case TokenRepeated:
		return CodeTokenRepeated, "the call shows several passports: send one header X-Passport-Token"
	case TokenForged:
		return CodeTokenForged, "the passport's token names this operator as its issuer, and was not signed by it"
	default:
		return CodeTokenInvalid, "the value of X-Passport-Token is no token of a passport for this gateway"
	}
}

// JudgeState is step 2 but for the caller: whether the passport counts at all. It gives Allowed where it does, and else
// why not, in words too. An end that is known stays an end whatever else is unknown, since none is ever taken back;
// anything else that is known may be old where s.Lost says so.
func JudgeState(s *Situation) (Code, string) {
	standing := s.Standing
	if standing != nil {
		if code, reason := judgeEnd(standing); code != Allowed {
			return code, reason
		}
	}
	switch {
	case s.Lost != "":
		return CodeStateUnknown, "the gateway does not know how the passport stands: " + s.Lost + ". Nothing goes out until it does; try again"
	case standing == nil:
		return CodePassportUnknown, "there is no passport of this token: it is deleted, or it was issued elsewhere"
	case standing.Phase != v1alpha1.PhaseActive:
		return CodeNotActive, "the passport is not active yet"
	case s.Now.Unix() > standing.Expiry.Unix():
		// The second of the expiry is in time, as a checkpoint made in it is.
		return CodeExpired, "the passport is past its expiry: no checkpoint moved it in time"
	case s.AgentGone:
		return CodeRevoked, "the agent of the passport was deleted"
	case s.Blocked != "":
		return CodeAgentBlocked, "the agent is blocked by " + s.Blocked
	default:
		return Allowed, ""
	}
}

// judgeEnd refuses a passport that has ended, or that is about to.
func judgeEnd(standing *Standing) (Code, string) {
	switch standing.Phase {
	case v1alpha1.PhaseCheckedOut:
		return CodeCheckedOut, "the mission has checked out"
	case v1alpha1.PhaseExpired:
		return CodeExpired, because("the passport has expired", standing.End)
	case v1alpha1.PhaseRevoked:
		return CodeRevoked, because("the passport is revoked", standing.End)
	case v1alpha1.PhaseRejected:
		return CodeNotActive, because("the passport was never issued", standing.End)
	default:
		if standing.Revoking {
			return CodeRevoked, "the passport is being revoked"
		}
		return Allowed, ""
	}
}

func because(what string, end v1alpha1.Reason) string {
	if end == "" {
		return what
	}
	return what + " (" + string(end) + ")"
}

// judgeCaller is the rest of step 2. A service without a connection has the policy of one that says
// nothing, but that nobody need have been asked: step 3 refuses.
func judgeCaller(s *Situation) (Code, string) {
	if s.Connection != nil && s.Connection.Callers == v1alpha1.CallersAnyBearer {
		return Allowed, ""
	}
	switch s.Caller {
	case CallerMayUse:
		return Allowed, ""
	case CallerNotAsked:
		if s.Connection == nil {
			return Allowed, ""
		}
		return CodeCallerMissing, callerMissing
	case CallerMissing:
		return CodeCallerMissing, callerMissing
	case CallerMayNotUse:
		return CodeForeignCaller, "the caller may not use the agent of the passport: it needs the verb use on the AgentPassport"
	case CallerUnknown:
		return CodeCallerUnknown, "the API server could not be asked who calls: try again"
	default:
		return CodeCallerInvalid, "the caller's own token is not valid for the gateway's audience"
	}
}

const callerMissing = "the call shows no token of the caller: send a Kubernetes token for the gateway's audience as Authorization: Bearer"

// judgeService is step 3.
func judgeService(s *Situation, r *Request, service *Service) (Code, string) {
	if service == nil {
		return CodeOutsideScope, "the passport does not carry the service that the call names"
	}
	c := s.Connection
	if c == nil || c.Name != string(r.Service) || c.Namespace != s.Standing.Namespace {
		return CodeNoConnection, "there is no ServiceConnection " + string(r.Service) + " in the namespace of the passport"
	}
	return Allowed, ""
}
