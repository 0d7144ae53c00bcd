package main

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/keysecret"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/writer"
	"agentpassport.dev/operator/test/apiserver"
)

// TestTheCommandsInACluster runs the binary against a real API server: a key is rotated, the volume is lost, and
// an epoch is begun by hand.
func TestTheCommandsInACluster(t *testing.T) {
	server, err := apiserver.Start(t.Context(), "../..", apiserver.AllPolicies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	binary := filepath.Join(t.TempDir(), "auditlog")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatal(string(out), err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "auditlog-"}}
	if err := server.Admin().Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	at := client.ObjectKey{Namespace: ns.Name, Name: keysecret.Name}
	load := func() writer.Options {
		privates, err := keysecret.Load(t.Context(), server.Admin(), at, rand.Reader, defaultLogName)
		if err != nil {
			t.Fatal(err)
		}
		mirrored, err := mirror.Read(t.Context(), server.Admin(), ns.Name)
		if err != nil {
			t.Fatal(err)
		}
		return writer.Options{Keys: privates, Mirrored: mirrored, Clock: testclock.NewFakePassiveClock(noon)}
	}
	dir := t.TempDir()
	serve := func(uid string) string {
		o := load()
		o.Dir = dir
		log, err := writer.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), mission(uid, 0)...); err != nil {
			t.Fatal(err)
		}
		if err := (&mirror.Mirror{Client: server.Admin(), Namespace: ns.Name, Log: log}).Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		return log.Ring().Active().String()
	}
	serve("m1")

	rotated, err := server.Shell(t.Context(), binary+" rotate-key --namespace "+ns.Name)
	if err != nil {
		t.Fatal(rotated, err)
	}
	if active := serve("m2"); !strings.Contains(rotated, active) {
		t.Fatalf("%s signs, and not: %s", active, rotated)
	}

	begin := binary + " begin-epoch --namespace " + ns.Name + " --data-dir " + dir + " --actor alice --reason 'the volume was deleted'"
	if out, err := server.Shell(t.Context(), begin); err == nil || !strings.Contains(out, "nothing of the audit log is lost") {
		t.Fatal(out, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := server.Shell(t.Context(), begin); err != nil || !strings.Contains(out, "Epoch 2 is begun") {
		t.Fatal(out, err)
	}
	active := serve("m3")
	out, err := server.Shell(t.Context(), "kubectl get configmap -n "+ns.Name+" agent-passport-auditlog -o yaml >"+dir+"/../m.yaml && "+
		binary+" verify "+dir+" --key "+active+" --head "+dir+"/../m.yaml")
	if err != nil || !strings.Contains(out, "LOST: 5 records were signed, 0 kept; alice began epoch 2") {
		t.Fatal(out, err)
	}
}
