package decision

import "agentpassport.dev/operator/api/v1alpha1"

// Decide judges one call. The steps are asked in their order, and the first that fails ends it; the
// credential comes with the permission alone. What it costs does not grow with what else is known.
func Decide(s *Situation, r *Request) Decision {
	service := serviceOf(s.Standing, r.Service)
	code, reason := judge(s, r, service)
	d := Decision{Code: code, Reason: reason, Declared: service != nil && service.Declared}
	if code == Allowed {
		d.Allow, d.Inject = true, s.Connection.Credential
	}
	return d
}

func judge(s *Situation, r *Request, service *Service) (Code, string) {
	if code, reason := judgeToken(s); code != Allowed {
		return code, reason
	}
	if code, reason := JudgeState(s); code != Allowed {
		return code, reason
	}
	if code, reason := judgeCaller(s); code != Allowed {
		return code, reason
	}
	if code, reason := judgeService(s, r, service); code != Allowed {
		return code, reason
	}
	if code, reason := judgeRequest(r); code != Allowed {
		return code, reason
	}
	if code, reason := judgeTarget(s.Connection, r); code != Allowed {
		return code, reason
	}
	return judgeConstraints(&service.Constraints, r)
}

// NeedsBody says whether a constraint on the service looks at the body of a call, so that it has to be
// read before it is judged.
func NeedsBody(s *Standing, service v1alpha1.ServiceName) bool {
	carried := serviceOf(s, service)
	return carried != nil && len(carried.Constraints.body) > 0
}

func serviceOf(s *Standing, name v1alpha1.ServiceName) *Service {
	if s == nil {
		return nil
	}
	return s.Services[name]
}
