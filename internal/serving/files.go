package serving

import (
	"context"
	"crypto/tls"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Certificate shows a certificate to a client: tls.Config.GetCertificate.
type Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Files shows the certificate of two PEM files, and takes it up anew when they change, until the context ends.
func Files(ctx context.Context, certFile, keyFile string, log logr.Logger) (Certificate, error) {
	files, err := certwatcher.New(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := files.Start(ctx); err != nil {
			log.Error(err, "the certificate is not followed; a new one is taken up at the next start")
		}
	}()
	return files.GetCertificate, nil
}
