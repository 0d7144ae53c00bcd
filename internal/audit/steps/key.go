package steps

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/internal/audit"
)

// Key is the record of a signing key that began to sign at a time. The Secret holds the keys.
func Key(secret metav1.Object, kid string, since time.Time, operator string) audit.Record {
	record := record("Secret", secret, audit.KeyRotate, kid, since)
	record.Layer = audit.System
	record.Actor, record.Facts = audit.Actor{Username: operator}, &audit.Facts{KeyID: kid}
	return record
}
