package steps

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
)

// Agent is the record of one generation of an AgentPassport, seen at a time.
func Agent(agent *v1alpha1.AgentPassport, at time.Time) (audit.Record, error) {
	record, err := changed("AgentPassport", agent, agent.Spec, at)
	record.Agent = aboutAgent(agent)
	return record, err
}

// AgentDeleted is the record of an AgentPassport that is gone, as it was last seen.
func AgentDeleted(agent *v1alpha1.AgentPassport, at time.Time) audit.Record {
	record := deleted("AgentPassport", agent, at)
	record.Agent = aboutAgent(agent)
	return record
}

func aboutAgent(agent *v1alpha1.AgentPassport) *audit.Agent {
	return &audit.Agent{Name: agent.Name, UID: string(agent.UID), Generation: agent.Generation}
}

// Connection is the record of one generation of a ServiceConnection, seen at a time.
func Connection(connection *v1alpha1.ServiceConnection, at time.Time) (audit.Record, error) {
	return changed("ServiceConnection", connection, connection.Spec, at)
}

// ConnectionDeleted is the record of a ServiceConnection that is gone, as it was last seen.
func ConnectionDeleted(connection *v1alpha1.ServiceConnection, at time.Time) audit.Record {
	return deleted("ServiceConnection", connection, at)
}

// Package is the record of one generation of a CapabilityPassport, seen at a time.
func Package(pkg *v1alpha1.CapabilityPassport, at time.Time) (audit.Record, error) {
	return changed("CapabilityPassport", pkg, pkg.Spec, at)
}

// PackageDeleted is the record of a CapabilityPassport that is gone, as it was last seen.
func PackageDeleted(pkg *v1alpha1.CapabilityPassport, at time.Time) audit.Record {
	return deleted("CapabilityPassport", pkg, at)
}

// Pack is the record of one generation of a PolicyPack, seen at a time.
func Pack(pack *v1alpha1.PolicyPack, at time.Time) (audit.Record, error) {
	return changed("PolicyPack", pack, pack.Spec, at)
}

// PackDeleted is the record of a PolicyPack that is gone, as it was last seen.
func PackDeleted(pack *v1alpha1.PolicyPack, at time.Time) audit.Record {
	return deleted("PolicyPack", pack, at)
}

// VendorKey is the record of one generation of a VendorKey, seen at a time.
func VendorKey(key *v1alpha1.VendorKey, at time.Time) (audit.Record, error) {
	return changed("VendorKey", key, key.Spec, at)
}

// VendorKeyDeleted is the record of a VendorKey that is gone, as it was last seen.
func VendorKeyDeleted(key *v1alpha1.VendorKey, at time.Time) audit.Record {
	return deleted("VendorKey", key, at)
}

// changed is the record of a spec: its digest, and who wrote it.
func changed(kind string, object metav1.Object, spec any, at time.Time) (audit.Record, error) {
	text, err := canonical(spec)
	if err != nil {
		return audit.Record{}, fmt.Errorf("%s %s/%s: %w", kind, object.GetNamespace(), object.GetName(), err)
	}
	if object.GetGeneration() <= 1 {
		at = object.GetCreationTimestamp().Time
	}
	digest := sha256.Sum256([]byte(text))
	record := record(kind, object, audit.ConfigChange, changeOf(object.GetGeneration()), at)
	record.Layer = audit.System
	record.Actor, record.Facts = changer(object), &audit.Facts{Digest: hex.EncodeToString(digest[:])}
	return record, nil
}

func deleted(kind string, object metav1.Object, at time.Time) audit.Record {
	record := record(kind, object, audit.ConfigChange, "deleted", at)
	record.Layer = audit.System
	record.Actor, record.Facts = audit.Actor{Username: Deleted}, &audit.Facts{Reason: "deleted"}
	return record
}

// changer is who changed a spec last.
func changer(object metav1.Object) audit.Actor {
	if by := object.GetAnnotations()[v1alpha1.AnnotationChangedBy]; by != "" {
		return audit.Actor{Username: by}
	}
	return audit.Actor{Username: Unknown}
}
