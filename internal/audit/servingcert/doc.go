// Package servingcert gives the audit log a certificate where nobody else does.
//
// An authority of its own, for ten years, is kept in a Secret of the service's namespace; its certificate
// alone is published in a ConfigMap, for clients. The certificate that is served is made in memory, lasts 30
// days, and is made anew after 20: nothing but the authority has to be kept, and clients need nothing new.
package servingcert
