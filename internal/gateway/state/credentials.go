package state

import (
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/contact"
	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
)

// CredentialError says why there is no credential. It holds nothing of its value.
type CredentialError struct {
	// Reason is CredentialForbidden, CredentialNotFound, CredentialKeyMissing, or NoGatewayYet while it is
	// being read or where the watch is lost.
	Reason  v1alpha1.Reason
	Message string
}

// Error implements error.
func (e *CredentialError) Error() string { return e.Message }

// CredentialState is what is known of the credential of one ServiceConnection.
type CredentialState struct {
	Namespace, Name string
	UID             types.UID
	Generation      int64
	// Reason is CredentialRead or that of a CredentialError.
	Reason v1alpha1.Reason
}

// Credential gives the credential of a connection as its Secret has it; nil for a connection without one.
// The error is a *CredentialError.
func (v *View) Credential(of *decision.Connection) (*credential.Value, error) {
	if of.Credential == nil {
		return nil, nil //nolint:nilnil // no credential is what the connection asks for
	}
	known, found := v.connections.get(types.NamespacedName{Namespace: of.Namespace, Name: of.Name})
	if !found || known.UID != of.UID || known.Generation != of.Generation {
		return nil, &CredentialError{Reason: v1alpha1.ReasonNoGatewayYet, Message: fmt.Sprintf(
			"ServiceConnection %s/%s has just changed; try again", of.Namespace, of.Name)}
	}
	f := known.credential
	// A list that is refused is no word of the Secret: there the right is missing, and not the watch.
	read := f.reading.Load()
	if silence := v.contact.Silence(f.heard); silence > v.options.WatchSilence && read != nil && read.reason != v1alpha1.ReasonCredentialForbidden {
		return nil, &CredentialError{Reason: v1alpha1.ReasonNoGatewayYet, Message: fmt.Sprintf(
			"the watch of Secret %s is lost: nothing was heard of it for %s, and it may have been rotated", f.secret, silence.Round(time.Second))}
	}
	return f.value()
}

// Credentials gives the state of the credential of every connection that has one, in no order.
func (v *View) Credentials() []CredentialState {
	var states []CredentialState
	for known := range v.connections.all() {
		if known.credential != nil {
			states = append(states, known.credential.state())
		}
	}
	return states
}

// OnCredential has tell called whenever the state of a credential changes. It must return at once. Call
// this before Start.
func (v *View) OnCredential(tell func(CredentialState)) {
	v.onCredential = append(v.onCredential, tell)
}

func (v *View) tellCredential(state CredentialState) {
	for _, tell := range v.onCredential {
		tell(state)
	}
}

// follower is the credential of one generation of a ServiceConnection.
type follower struct {
	connection types.NamespacedName
	uid        types.UID
	generation int64
	spec       v1alpha1.ServiceCredential
	// secret that holds it, the collection that is watched for it, and when that was heard.
	secret         types.NamespacedName
	path, selector string
	heard          *contact.Heard
	told           func(CredentialState)
	reading        atomic.Pointer[reading] // nil: not read yet
}

// reading is what became of reading a Secret: a value, or why there is none.
type reading struct {
	value   *credential.Value
	reason  v1alpha1.Reason
	message string
}

func (v *View) newFollower(object *v1alpha1.ServiceConnection) *follower {
	f := &follower{
		connection: nameOf(object), uid: object.UID, generation: object.Generation, spec: *object.Spec.Credential,
		secret:   types.NamespacedName{Namespace: object.Namespace, Name: object.Spec.Credential.SecretName},
		path:     v.root + "/api/v1/namespaces/" + object.Namespace + "/secrets",
		selector: byName(object.Spec.Credential.SecretName),
		told:     v.tellCredential,
	}
	f.heard = v.contact.Watch(f.path, f.selector)
	return f
}

// read parses what a Secret holds.
func (f *follower) read(data map[string][]byte) *reading {
	value, err := credential.Read(f.secret.Namespace, &f.spec, data)
	if err != nil {
		return &reading{reason: v1alpha1.ReasonCredentialKeyMissing, message: err.Error()}
	}
	return &reading{value: value, reason: v1alpha1.ReasonCredentialRead}
}

// set takes in a reading, and tells where the state is another one now.
func (f *follower) set(now *reading) {
	if before := f.reading.Swap(now); before == nil || before.reason != now.reason {
		f.told(f.state())
	}
}

func (f *follower) value() (*credential.Value, error) {
	switch now := f.reading.Load(); {
	case now == nil:
		return nil, &CredentialError{Reason: v1alpha1.ReasonNoGatewayYet, Message: fmt.Sprintf("Secret %s is being read; try again", f.secret)}
	case now.value == nil:
		return nil, &CredentialError{Reason: now.reason, Message: now.message}
	default:
		return now.value, nil
	}
}

func (f *follower) state() CredentialState {
	state := CredentialState{
		Namespace: f.connection.Namespace, Name: f.connection.Name, UID: f.uid, Generation: f.generation,
		Reason: v1alpha1.ReasonNoGatewayYet,
	}
	if now := f.reading.Load(); now != nil {
		state.Reason = now.reason
	}
	return state
}
