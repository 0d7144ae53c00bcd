package main

import (
	"path"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/servingcert"
)

// What is installed is started as the manager understands it, and finds the audit log, its authority and a
// token for it where the flags say.
func TestTheShippedFlags(t *testing.T) {
	var deployment appsv1.Deployment
	manifest(t, "deployment.yaml", &deployment)
	pod := deployment.Spec.Template.Spec
	var args []string
	for _, arg := range pod.Containers[0].Args {
		if !strings.HasPrefix(arg, "--config-file=") { // it is there in the Pod
			args = append(args, strings.ReplaceAll(arg, "$(POD_NAMESPACE)", deployment.Namespace))
		}
	}
	f, err := parsed(args...)
	if err != nil {
		t.Fatal(err)
	}
	if want := "https://agent-passport-auditlog." + deployment.Namespace + ".svc:8443"; f.auditLog.URL != want {
		t.Errorf("--audit-log-url=%s, want %s", f.auditLog.URL, want)
	}
	mounted := map[string]corev1.Volume{}
	for _, mount := range pod.Containers[0].VolumeMounts {
		for _, volume := range pod.Volumes {
			if volume.Name == mount.Name && mount.ReadOnly {
				mounted[mount.MountPath] = volume
			}
		}
	}
	ca := mounted[path.Dir(f.auditLog.CAFile)]
	if ca.ConfigMap == nil || ca.ConfigMap.Name != servingcert.AuditLogName || path.Base(f.auditLog.CAFile) != servingcert.ConfigMapKey {
		t.Errorf("--audit-log-ca-file=%s is not the published authority: %+v", f.auditLog.CAFile, ca)
	}
	if ca.ConfigMap != nil && (ca.ConfigMap.Optional == nil || !*ca.ConfigMap.Optional) {
		t.Error("the manager cannot start before the audit log has")
	}
	token := mounted[path.Dir(f.auditLog.TokenFile)]
	if token.Projected == nil || token.Projected.Sources[0].ServiceAccountToken == nil {
		t.Fatalf("--audit-log-token-file=%s is no projected token: %+v", f.auditLog.TokenFile, token)
	}
	source := token.Projected.Sources[0].ServiceAccountToken
	if source.Audience != wire.Audience || source.Path != path.Base(f.auditLog.TokenFile) {
		t.Errorf("the token in %s is for %s", source.Path, source.Audience)
	}
}
