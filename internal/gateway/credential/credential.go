// Package credential is the secret that the gateway puts into a call in the agent's stead. It is read from
// the data of a Secret, goes into the call, and shows itself nowhere else.
package credential

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// MaxBytes is how long a token, a password or a user name may be.
const MaxBytes = 16 << 10

const authorization = "Authorization"

// ErrUnusable means that the Secret does not hold what the ServiceConnection says. Errors that wrap it
// name the Secret and the key, and hold nothing of the value.
var ErrUnusable = errors.New("not a credential")

// Value is a credential that was read. It never changes once made, so that it may be shared; every way to
// print it prints no part of it. Use Read.
type Value struct {
	// Behind a function, since fmt prints what is in an unexported field of a foreign struct without
	// asking for its methods, and of a function no more than where it is.
	secret func() *secret
}

type secret struct {
	// query says that it is a parameter, else it is a header.
	query bool
	// name of the parameter or of the header, the latter in canonical form.
	name string
	// sent is the header's value, or the escaped parameter's.
	sent string
	// forms are all the spellings that give the credential away.
	forms []string
}

// Read makes the Value that a ServiceConnection of this namespace describes from the data of its Secret.
// One line break at the end of a value is cut off. The error is an ErrUnusable.
func Read(namespace string, spec *v1alpha1.ServiceCredential, data map[string][]byte) (*Value, error) {
	s := source{namespace: namespace, spec: spec, data: data}
	value, err := s.read(spec.Key)
	if err != nil {
		return nil, err
	}
	switch spec.Type {
	case v1alpha1.CredentialBearer:
		return header(authorization, "Bearer "+value, value), nil
	case v1alpha1.CredentialBasic:
		return s.basic(value)
	case v1alpha1.CredentialHeader:
		return header(http.CanonicalHeaderKey(spec.Name), value, value), nil
	case v1alpha1.CredentialQuery:
		escaped := url.QueryEscape(value)
		return hold(&secret{query: true, name: spec.Name, sent: escaped, forms: []string{value, escaped}}), nil
	default:
		return nil, s.refuse(spec.Key, "goes into calls as %q, which this version does not know", spec.Type)
	}
}

func header(name, sent string, forms ...string) *Value {
	return hold(&secret{name: name, sent: sent, forms: forms})
}

func hold(held *secret) *Value { return &Value{secret: func() *secret { return held }} }

// source is where a credential is read from.
type source struct {
	namespace string
	spec      *v1alpha1.ServiceCredential
	data      map[string][]byte
}

// basic is a user name and a password (RFC 7617).
func (s source) basic(password string) (*Value, error) {
	user, err := s.read(s.spec.UsernameKey)
	if err != nil {
		return nil, err
	}
	if strings.Contains(user, ":") {
		return nil, s.refuse(s.spec.UsernameKey, "has a colon, which a user name may not have (RFC 7617)")
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return header(authorization, "Basic "+encoded, password, encoded), nil
}

func (s source) read(key string) (string, error) {
	raw, found := s.data[key]
	value := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	switch {
	case !found:
		return "", s.refuse(key, "is not there")
	case value == "":
		return "", s.refuse(key, "is empty")
	case len(value) > MaxBytes:
		return "", s.refuse(key, "is longer than %d bytes", MaxBytes)
	case strings.ContainsFunc(value, control):
		return "", s.refuse(key, "has a line break or another control character inside")
	}
	return value, nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func (s source) refuse(key, format string, args ...any) error {
	return fmt.Errorf("%w: key %s of Secret %s/%s %s", ErrUnusable, key, s.namespace, s.spec.SecretName, fmt.Sprintf(format, args...))
}
