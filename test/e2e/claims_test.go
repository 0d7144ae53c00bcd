package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// content is what a token says, before anyone has verified it.
type content struct {
	KeyID, ID string
	Expiry    int64
	// Claims are the claims as they were signed, byte for byte.
	Claims string
}

// open reads a token. Its errors do not hold the token.
func open(token string) (content, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return content{}, fmt.Errorf("a token of %d parts", len(parts))
	}
	var header struct{ Kid string }
	var claims struct {
		JTI string
		Exp int64
	}
	var signed []byte
	for i, into := range []any{&header, &claims} {
		decoded, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return content{}, fmt.Errorf("part %d: %w", i, err)
		}
		if err := json.Unmarshal(decoded, into); err != nil {
			return content{}, fmt.Errorf("part %d: %w", i, err)
		}
		signed = decoded
	}
	return content{KeyID: header.Kid, ID: claims.JTI, Expiry: claims.Exp, Claims: string(signed)}, nil
}

// content opens the mission's token.
func (p *place) content() content {
	GinkgoHelper()
	opened, err := open(p.token())
	p.g.Expect(err).NotTo(HaveOccurred())
	return opened
}
