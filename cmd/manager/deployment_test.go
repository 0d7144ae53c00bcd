package main

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// A gateway finds the manager where the manager listens, under a name that its certificate has, and token
// Secrets name a gateway that its own certificate has.
func TestTheShippedChannel(t *testing.T) {
	var deployment appsv1.Deployment
	manifest(t, "deployment.yaml", &deployment)
	var service corev1.Service
	manifest(t, "channel_service.yaml", &service)
	f, err := parsed(flagOf(t, &deployment, "--gateway-url"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "https://agent-passport-gateway." + deployment.Namespace + ".svc"; f.gatewayURL != want {
		t.Errorf("--gateway-url=%s, want %s", f.gatewayURL, want)
	}
	if service.Name != channelService || service.Namespace != deployment.Namespace || service.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the Service is %s/%s at %q", service.Namespace, service.Name, service.Spec.ClusterIP)
	}
	if diff := cmp.Diff(deployment.Spec.Selector.MatchLabels, service.Spec.Selector); diff != "" {
		t.Error(diff)
	}
	port := service.Spec.Ports[0]
	for _, open := range deployment.Spec.Template.Spec.Containers[0].Ports {
		if open.Name == port.TargetPort.StrVal && f.channelAddress == fmt.Sprintf(":%d", open.ContainerPort) && port.Port == open.ContainerPort {
			return
		}
	}
	t.Errorf("nothing listens at %+v: --channel-bind-address=%s", port, f.channelAddress)
}

func flagOf(t *testing.T, deployment *appsv1.Deployment, name string) string {
	t.Helper()
	for _, arg := range deployment.Spec.Template.Spec.Containers[0].Args {
		if strings.HasPrefix(arg, name+"=") {
			return arg
		}
	}
	t.Fatalf("no %s in %v", name, deployment.Spec.Template.Spec.Containers[0].Args)
	return ""
}

func TestGatewayFlags(t *testing.T) {
	f, err := parsed("--gateway-url=https://gateway.example.com/x", "--gateway-serving-names=gateway.example.com, 192.0.2.1,", "--channel-serving-names=127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"gateway.example.com", "192.0.2.1"}, {"127.0.0.1"}}, [][]string{f.gatewayNames, f.channelNames}); diff != "" {
		t.Error(diff)
	}
	for _, args := range [][]string{
		{"--gateway-url=gateway.example.com"},
		{"--gateway-url=https://gateway.example.com?x=1"},
		{"--gateway-url=https://gateway.example.com", "--channel-bind-address=0"},
	} {
		if _, err := parsed(args...); err == nil || !strings.Contains(err.Error(), "--gateway-url") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
