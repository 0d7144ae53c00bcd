package requeststest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Token says which passport a call shows, and how.
type Token string

// The tokens. A word for a Passport is also its name, and every one but TokenUnknown's is in Passports.
const (
	// TokenLive is the token of an Active passport.
	TokenLive Token = "live"
	// TokenMissing is no header X-Passport-Token.
	TokenMissing Token = "missing"
	// TokenTwice is the token of live in two headers.
	TokenTwice Token = "twice"
	// TokenTwo is the tokens of live and of revoked, each in a header.
	TokenTwo Token = "two"
	// TokenList is the token of live twice in one header, with a comma between.
	TokenList Token = "list"
	// TokenEmpty is an empty header.
	TokenEmpty Token = "empty"
	// TokenGarbage is no JWS.
	TokenGarbage Token = "garbage"
	// TokenForeign is a token of another issuer, well signed by it.
	TokenForeign Token = "foreign"
	// TokenForged is a token of live with our issuer, signed by a key that is not ours.
	TokenForged Token = "forged"
	// TokenOversized is a token of more than 8 KiB.
	TokenOversized Token = "oversized"
	// TokenUnknown is a token of ours, well signed, of a Passport that is not there.
	TokenUnknown Token = "unknown"
	// TokenPending is the token of a Passport that is not issued yet.
	TokenPending Token = "pending"
	// TokenCheckedOut and the further ones are tokens of Passports in the phase of that name.
	TokenCheckedOut Token = "checked-out"
	TokenExpired    Token = "expired"
	TokenRevoked    Token = "revoked"
	TokenRejected   Token = "rejected"
	// TokenRevoking is that of an Active Passport with spec.revocation set.
	TokenRevoking Token = "revoking"
	// TokenPast is that of an Active Passport whose stored expiry is a second ago.
	TokenPast Token = "past"
	// TokenLast is that of an Active Passport in the second of its expiry.
	TokenLast Token = "last"
	// TokenBlocked is that of a Passport whose agent an AgentBlock blocks.
	TokenBlocked Token = "blocked"
	// TokenSuspended is that of a Passport whose agent is suspended.
	TokenSuspended Token = "suspended"
	// TokenOrphan is that of a Passport whose agent is deleted.
	TokenOrphan Token = "orphan"
	// TokenLost is that of live while the gateway has lost its watch.
	TokenLost Token = "lost"
	// TokenLostRevoked is that of revoked while the gateway has lost its watch.
	TokenLostRevoked Token = "lost-revoked"
)

// Caller says which token of its own a call shows, in the header Authorization.
type Caller string

// The callers.
const (
	// CallerMayUse holds the verb `use` on every agent here.
	CallerMayUse Caller = "may use"
	// CallerNone shows nothing.
	CallerNone Caller = "none"
	// CallerInvalid shows a token that is not valid for the gateway.
	CallerInvalid Caller = "invalid"
	// CallerMayNotUse is authenticated, and holds nothing.
	CallerMayNotUse Caller = "may not use"
	// CallerUnknown shows a token while the API server cannot be asked.
	CallerUnknown Caller = "unknown"
)

// CredentialValue is what the gateway puts into each allowed call: `Authorization: Bearer` and this.
const CredentialValue = "upstream-credential-of-the-table"

// CredentialSecret is the name of the Secret that holds it, under the key token.
const CredentialSecret = "upstream"

// The agents.
const (
	Agent          = "agent"
	AgentBlocked   = "agent-blocked"
	AgentSuspended = "agent-suspended"
	AgentDeleted   = "agent-deleted"
)

// HostOf is the host that a service of the table is at.
func HostOf(service string) string {
	if host, ok := odd[service]; ok {
		return host
	}
	return service + ".example.test"
}

// odd are the services that are at addresses.
var odd = map[string]string{
	"loopback":         "127.0.0.1",
	"loopback-allowed": "127.0.0.1",
	"private":          "10.1.2.3",
	"metadata":         "169.254.169.254",
	"public-v6":        "[2606:4700:4700::1111]",
	"mapped-v6":        "[::ffff:10.0.0.1]",
}

// Agents are the AgentPassports of the table, but for AgentDeleted. Suspended is the one that is.
func Agents(namespace string) []v1alpha1.AgentPassport {
	var agents []v1alpha1.AgentPassport
	for _, name := range []string{Agent, AgentBlocked, AgentSuspended} {
		agents = append(agents, v1alpha1.AgentPassport{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid(name)},
			Spec:       v1alpha1.AgentPassportSpec{Suspend: name == AgentSuspended, Grants: grants()},
		})
	}
	return agents
}

func grants() []v1alpha1.ServiceGrant {
	var grants []v1alpha1.ServiceGrant
	for _, service := range carried() {
		grants = append(grants, v1alpha1.ServiceGrant(service))
	}
	return grants
}

// Secret is the one that all connections take their credential from.
func Secret(namespace string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: CredentialSecret},
		Data:       map[string][]byte{"token": []byte(CredentialValue)},
	}
}

// Connections are the ServiceConnections of the table. All are plain HTTP, so that a raw upstream sees the
// bytes, but for "secure".
func Connections(namespace string) []v1alpha1.ServiceConnection {
	connections := make([]v1alpha1.ServiceConnection, 0, len(carried()))
	for _, service := range append(carried(), v1alpha1.IssuedService{Service: "ungranted"}) {
		if service.Service == "unconnected" {
			continue
		}
		name := string(service.Service)
		c := v1alpha1.ServiceConnection{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid(name), Generation: 1},
			Spec: v1alpha1.ServiceConnectionSpec{
				BaseURL:        "http://" + HostOf(name),
				Callers:        v1alpha1.CallersAgentUsers,
				TimeoutSeconds: 30,
				Credential: &v1alpha1.ServiceCredential{
					SecretName: CredentialSecret, Key: "token", UsernameKey: "username", Type: v1alpha1.CredentialBearer,
				},
			},
		}
		particulars(&c.Spec, name)
		connections = append(connections, c)
	}
	return connections
}

func particulars(spec *v1alpha1.ServiceConnectionSpec, name string) {
	switch name {
	case "api":
		spec.Hosts = []string{"files.example.test", "files.example.test:8080"}
	case "base":
		spec.BaseURL += "/v1"
		spec.Hosts = []string{"extra.example.test"}
	case "secure":
		spec.BaseURL = "https://" + HostOf(name)
	case "open":
		spec.Callers = v1alpha1.CallersAnyBearer
	case "reading":
		spec.Methods = []v1alpha1.HTTPMethod{"GET", "HEAD"}
	case "loopback-allowed":
		spec.AllowedAddresses = []v1alpha1.AddressRange{v1alpha1.RangeLoopback}
	case "metadata":
		spec.AllowedAddresses = []v1alpha1.AddressRange{
			v1alpha1.RangeLoopback, v1alpha1.RangePrivate, v1alpha1.RangeLinkLocal, v1alpha1.RangeShared,
		}
	}
}

// carried are the services of every passport, with their constraints.
func carried() []v1alpha1.IssuedService {
	services := []v1alpha1.IssuedService{
		{Service: "api"},
		{Service: "base"},
		{Service: "secure"},
		{Service: "open"},
		{Service: "reading"},
		{Service: "undeclared"},
		{Service: "unconnected"},
		{Service: "loopback"},
		{Service: "loopback-allowed"},
		{Service: "private"},
		{Service: "metadata"},
		{Service: "public-v6"},
		{Service: "mapped-v6"},
	}
	for _, c := range constrained {
		services = append(services, v1alpha1.IssuedService{Service: c.service, Constraints: c.constraints})
	}
	return services
}

// Passports are the Passports of the table as they are stored, at a time by the API server's clock in whole
// seconds.
func Passports(namespace string, now time.Time) []v1alpha1.Passport {
	passport := func(t Token, phase v1alpha1.Phase, change func(*v1alpha1.Passport)) v1alpha1.Passport {
		p := stored(namespace, string(t), phase, now)
		if change != nil {
			change(&p)
		}
		return p
	}
	agent := func(name string) func(*v1alpha1.Passport) {
		return func(p *v1alpha1.Passport) {
			p.Spec.AgentRef.Name = name
			p.Status.Issued.AgentUID = uid(name)
		}
	}
	expiry := func(at time.Time) func(*v1alpha1.Passport) {
		return func(p *v1alpha1.Passport) { p.Status.ExpirationTime = &metav1.Time{Time: at} }
	}
	return []v1alpha1.Passport{
		passport(TokenLive, v1alpha1.PhaseActive, nil),
		passport(TokenPending, v1alpha1.PhasePending, func(p *v1alpha1.Passport) { p.Status.Issued = nil }),
		passport(TokenCheckedOut, v1alpha1.PhaseCheckedOut, nil),
		passport(TokenExpired, v1alpha1.PhaseExpired, nil),
		passport(TokenRevoked, v1alpha1.PhaseRevoked, nil),
		passport(TokenRejected, v1alpha1.PhaseRejected, func(p *v1alpha1.Passport) { p.Status.Issued = nil }),
		passport(TokenRevoking, v1alpha1.PhaseActive, func(p *v1alpha1.Passport) {
			p.Spec.Revocation = &v1alpha1.Revocation{Reason: "the table"}
		}),
		passport(TokenPast, v1alpha1.PhaseActive, expiry(now.Add(-time.Second))),
		passport(TokenLast, v1alpha1.PhaseActive, expiry(now)),
		passport(TokenBlocked, v1alpha1.PhaseActive, agent(AgentBlocked)),
		passport(TokenSuspended, v1alpha1.PhaseActive, agent(AgentSuspended)),
		passport(TokenOrphan, v1alpha1.PhaseActive, agent(AgentDeleted)),
	}
}

func stored(namespace, name string, phase v1alpha1.Phase, now time.Time) v1alpha1.Passport {
	issued, expiry := metav1.NewTime(now.Add(-time.Minute)), metav1.NewTime(now.Add(10*time.Minute))
	p := v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid(name)},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: Agent},
			Intent:   &v1alpha1.Intent{Summary: "the table"},
		},
		Status: v1alpha1.PassportStatus{
			Phase: phase, JTI: "pp_" + name, SessionID: "s_" + name, IssueTime: &issued, ExpirationTime: &expiry,
			Issued: &v1alpha1.IssuedTerms{
				AgentUID: uid(Agent), Mode: v1alpha1.ModeEnforced, Services: carried(),
				Issuer: "https://issuer.example.test", Subject: "spiffe://example.test/ns/" + namespace + "/agent/" + Agent,
				Audience: []string{"gateway"}, TTLSeconds: 900, CheckpointIntervalSeconds: 300,
				Deadline: metav1.NewTime(now.Add(time.Hour)),
			},
		},
	}
	for _, service := range carried() {
		if service.Service != "undeclared" {
			p.Spec.Intent.Services = append(p.Spec.Intent.Services, service.Service)
		}
	}
	if phase.Finished() {
		p.Status.EndTime = &metav1.Time{Time: now.Add(-time.Second)}
	}
	return p
}

func uid(name string) types.UID { return types.UID("uid-" + name) }
