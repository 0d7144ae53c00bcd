package plugin

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
)

// signatureIn gives a signature that is given itself, or the name of a file with one: the JWS alone, or what sign
// prints with -o yaml.
func (s *session) signatureIn(given string) (string, error) {
	if looksDetached(given) {
		return given, nil
	}
	data, err := s.readFile(given)
	if err != nil {
		return "", fmt.Errorf("--signature is neither a signature, HEADER..SIGNATURE, nor a file that can be read: %w", err)
	}
	return jwsIn(data), nil
}

// signed is the part of a manifest that has a signature.
type signed struct {
	Spec struct {
		Signature v1alpha1.DocumentSignature `json:"signature"`
	} `json:"spec"`
}

// looksDetached says whether a text is a JWS without its payload, and no file's name.
func looksDetached(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Contains(text, "..")
}

// jwsIn finds the signature in a file's text: the text, or spec.signature.jws of a manifest or patch.
func jwsIn(data []byte) string {
	text := strings.TrimSpace(string(data))
	var in signed
	if !looksDetached(text) && yaml.Unmarshal(data, &in) == nil && in.Spec.Signature.JWS != "" {
		return in.Spec.Signature.JWS
	}
	return text
}
