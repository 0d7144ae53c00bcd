package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// isTLS tells errors of a handshake.
func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &verification) || errors.As(err, &unknown) || errors.As(err, &name) ||
		errors.As(err, &record) || errors.As(err, &alert)
}
