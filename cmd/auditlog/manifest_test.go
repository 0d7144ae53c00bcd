package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/audit/keysecret"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/servingcert"
)

func shipped(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../config/" + path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatal(err)
	}
}

// What is installed is started as the service understands it, and writes to its volume alone.
func TestTheShippedStatefulSet(t *testing.T) {
	var set appsv1.StatefulSet
	shipped(t, "auditlog/stateful_set.yaml", &set)
	container := set.Spec.Template.Spec.Containers[0]
	if !slices.Equal(container.Command, []string{"/auditlog"}) || container.Args[0] != "serve" {
		t.Fatalf("it runs %v %v", container.Command, container.Args)
	}
	command := newServeCommand()
	var args []string
	for _, arg := range container.Args[1:] {
		args = append(args, strings.ReplaceAll(arg, "$(POD_NAMESPACE)", set.Namespace))
	}
	if err := command.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	dir, err := command.Flags().GetString("data-dir")
	if err != nil || dir != container.VolumeMounts[0].MountPath || container.VolumeMounts[0].Name != set.Spec.VolumeClaimTemplates[0].Name {
		t.Errorf("--data-dir=%s is not on the volume %+v: %v", dir, container.VolumeMounts, err)
	}
	if *set.Spec.Replicas != 1 {
		t.Errorf("%d replicas of a log with one writer", *set.Spec.Replicas)
	}
}

// The role names what the service reads and writes, and nothing else that is there.
func TestTheShippedRole(t *testing.T) {
	var role rbacv1.Role
	shipped(t, "rbac/auditlog_role.yaml", &role)
	names := map[string][]string{}
	for _, rule := range role.Rules {
		if slices.Contains(rule.Verbs, "get") {
			names[rule.Resources[0]] = rule.ResourceNames
		}
	}
	if want := []string{keysecret.Name, servingcert.AuditLogName}; !slices.Equal(names["secrets"], want) {
		t.Errorf("Secrets %v, want %v", names["secrets"], want)
	}
	if want := []string{mirror.Name, servingcert.AuditLogName}; !slices.Equal(names["configmaps"], want) {
		t.Errorf("ConfigMaps %v, want %v", names["configmaps"], want)
	}
}
