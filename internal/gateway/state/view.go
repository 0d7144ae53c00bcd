// Package state is what the gateway knows: passports, agents, blocks, connections, the keys that verify
// tokens, and the credentials. Watches feed it; a look at it asks nobody.
package state

import (
	"context"
	"iter"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
)

// Options are what a View is made of. Zero durations and numbers have the defaults that stand with them.
type Options struct {
	// Config reaches the API server as the gateway.
	Config *rest.Config
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Local clock measures how long ago something was heard.
	Local clock.WithTicker
	// Namespace of the operator: its ConfigMap with the JWKS is there.
	Namespace string
	// Issuer and Audience that tokens must have.
	Issuer, Audience string
	// WatchSilence is how long a watch may bring neither event nor bookmark before it counts as lost: 90 s.
	WatchSilence time.Duration
	// ServerSilence is how long the API server may leave everything unanswered: 60 s.
	ServerSilence time.Duration
	// ProbeInterval is how often the API server is asked whether it is there: 15 s.
	ProbeInterval time.Duration
	// MaxTokens is how many verified tokens are remembered: 65,536.
	MaxTokens int
	// MaxSecrets is how many Secrets are watched at most: 1,024.
	MaxSecrets int
	Log        logr.Logger
}

// View is what is known. Its methods may be called by any goroutine. Use New.
type View struct{}

// New makes a View that knows nothing before Start. It asks nobody.
func New(Options) (*View, error) { return &View{}, nil }

// Start watches until ctx ends. It implements manager.Runnable.
func (v *View) Start(context.Context) error { return nil }

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica watches.
func (v *View) NeedLeaderElection() bool { return false }

// Synced says whether everything that a decision needs was read once.
func (v *View) Synced() bool { return false }

// Lost says why what is known may be old; it is empty where it is fresh.
func (v *View) Lost() string { return "" }

// Reader reads passports, agents, blocks and connections from memory; of other kinds it knows nothing.
// What it gives is not to be changed.
func (v *View) Reader() client.Reader { return nil }

// Verified is a token whose signature, issuer and audience are right. It is never changed once made.
type Verified struct {
	// Claims of the token. Its exp is not judged: the stored expiry of the passport decides.
	Claims *token.Claims
}

// Token verifies a token, once: what was verified is remembered by its SHA-256 while its key is
// published. The Verified is nil unless the state is TokenValid. Ask only while Lost is empty: without
// keys every token is one of another's.
func (v *View) Token(raw string) (*Verified, decision.TokenState) { return nil, decision.TokenInvalid }

// Look gives what is known of a verified token's passport, its agent and the connection of a service. It
// asks nobody. A nil token gives the time and Lost alone. The caller's part is left to the caller.
func (v *View) Look(verified *Verified, service v1alpha1.ServiceName) decision.Situation {
	return decision.Situation{}
}

// LookLive is Look with what would refuse the token read anew from the API server, for a state that a
// watch may not have brought yet. An answer that changed nothing is believed for a second, and all looks
// together are limited; past the limit it is Look. Where the API server does not answer, the error says
// so and the Situation is that of Look.
func (v *View) LookLive(ctx context.Context, verified *Verified, service v1alpha1.ServiceName) (decision.Situation, error) {
	return decision.Situation{}, nil
}

// CredentialError says why there is no credential. It holds nothing of its value.
type CredentialError struct {
	// Reason is CredentialForbidden, CredentialNotFound, CredentialKeyMissing, or NoGatewayYet while it is
	// being read or where the watch is lost.
	Reason  v1alpha1.Reason
	Message string
}

// Error implements error.
func (e *CredentialError) Error() string { return e.Message }

// Credential gives the credential of a connection; nil for a connection without one. The error is a
// *CredentialError.
func (v *View) Credential(connection *decision.Connection) (*credential.Value, error) {
	return nil, nil
}

// CredentialState is what is known of the credential of one ServiceConnection.
type CredentialState struct {
	Namespace, Name string
	UID             types.UID
	Generation      int64
	// Reason is CredentialRead or that of a CredentialError.
	Reason v1alpha1.Reason
}

// Credentials gives the state of every connection's credential.
func (v *View) Credentials() []CredentialState { return nil }

// OnCredential has f told when the state of a credential changes. f must return at once. Call it before
// Start.
func (v *View) OnCredential(f func(CredentialState)) {}

// ByJTI finds a Passport by the jti of its tokens. It is not to be changed.
func (v *View) ByJTI(jti string) (*v1alpha1.Passport, bool) { return nil, false }

// ByUID finds a Passport. It is not to be changed.
func (v *View) ByUID(uid types.UID) (*v1alpha1.Passport, bool) { return nil, false }

// Passports gives every Passport, in no order. They are not to be changed.
func (v *View) Passports() iter.Seq[*v1alpha1.Passport] { return nil }

// Await waits until a Passport is as wanted, and returns it; at once where it is already. The Passport may
// still be unknown. The error is ErrDeleted, or that of ctx.
func (v *View) Await(ctx context.Context, uid types.UID, wanted func(*v1alpha1.Passport) bool) (*v1alpha1.Passport, error) {
	return nil, nil
}

// AwaitCheckpoint waits until a Checkpoint is as wanted, as Await does.
func (v *View) AwaitCheckpoint(ctx context.Context, key client.ObjectKey, uid types.UID, wanted func(*v1alpha1.Checkpoint) bool) (*v1alpha1.Checkpoint, error) {
	return nil, nil
}

// AwaitCheckout waits until a Checkout is as wanted, as Await does.
func (v *View) AwaitCheckout(ctx context.Context, key client.ObjectKey, uid types.UID, wanted func(*v1alpha1.Checkout) bool) (*v1alpha1.Checkout, error) {
	return nil, nil
}

// OnEnd has f told once of every issued passport that is first seen ended or deleted, also of those that
// ended before Start. f must return at once. Call it before Start.
func (v *View) OnEnd(f func(*decision.Standing)) {}
