//go:build linux

package cluster_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"agentpassport.dev/operator/test/cluster"
)

// serve has this binary serve a directory, in a container of the test.
const serve = "serve-directory"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serve {
		server := &http.Server{Addr: ":8000", Handler: http.FileServer(http.Dir(os.Args[2])), ReadHeaderTimeout: time.Minute}
		if err := server.ListenAndServe(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	cluster.Enter()
	os.Exit(m.Run())
}

// A page of manifests, as somebody would write them, and what kubectl says of what runs.
func TestCluster(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Options{
		Images: machine, Log: t.Output(),
		Hosts: []string{"example.com"}, Serve: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "outside") }),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	types := func(script string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		said, err := c.Shell(ctx, "set -eu\n"+script)
		if err != nil {
			t.Fatalf("%s\n%v\n%s", script, err, said)
		}
		return said
	}
	types("kubectl apply -f testdata/greeter.yaml; kubectl rollout status deployment/greeter statefulset/keeper --timeout=1m")

	for _, one := range []struct{ name, script, says string }{
		{"two Pods of a Deployment have addresses of their own", "kubectl get pods -l app=greeter -o 'jsonpath={.items[*].status.podIP}' | tr ' ' '\\n' | sort -u | wc -l", "2"},
		{"what a container prints", "kubectl logs deployment/greeter", "greeter-"},
		{"the last lines of it", "kubectl logs keeper-0 --tail=1", "third"},
		{"a command in it, and its exit code", "kubectl exec keeper-0 -- sh -c 'echo in $HOSTNAME; exit 7' || echo it was $?", "in keeper-0\ncommand terminated with exit code 7\nit was 7"},
		{"what it is given to read", "echo spoken | kubectl exec -i keeper-0 -- cat", "spoken"},
		{"variables, and those in arguments", "kubectl exec keeper-0 -- cat /data/said", "default says 67108864"},
		{"a ConfigMap as files", "kubectl exec keeper-0 -- cat /etc/words/word", "hello"},
		{"its ServiceAccount, by a token that is bound to it", "kubectl exec keeper-0 -- cut -d. -f2 /var/run/secrets/kubernetes.io/serviceaccount/token", "ey"},
		{"the names of Services", "kubectl exec keeper-0 -- cat /etc/hosts", "greeter.default.svc.cluster.local"},
		{"the names of the Pods of one without an address", "kubectl exec deployment/greeter -- cat /etc/hosts", "keeper-0.keeper.default.svc"},
		{"the world outside", "kubectl exec keeper-0 -- cat /etc/hosts", "1.2.3.4 example.com"},
		{"a port of a Service", "kubectl port-forward service/greeter 8080:80 >/dev/null & curl -sS --retry 9 --retry-connrefused --retry-delay 1 http://127.0.0.1:8080/word; kill $!", "hello"},
		{"a Service from a Pod", "kubectl exec keeper-0 -- curl -sS http://greeter.default.svc/word", "hello"},
		{"a claim that outlives its Pod", `kubectl exec keeper-0 -- sh -c 'echo kept > /data/kept'; kubectl delete pod keeper-0
kubectl rollout status statefulset/keeper --timeout=1m; kubectl exec keeper-0 -- cat /data/kept`, "kept"},
		{"a ConfigMap that changes", `kubectl patch configmap words -p '{"data": {"word": "goodbye"}}'
until kubectl exec keeper-0 -- grep goodbye /etc/words/word; do sleep 0.2; done`, "goodbye"},
		{"a container that ends is started again", `kubectl exec keeper-0 -- sh -c 'kill -9 $(cat /data/pid)' || true
kubectl wait pod/keeper-0 --for='jsonpath={.status.containerStatuses[0].restartCount}=1' --timeout=1m`, "condition met"},
		{"a Job that is done", "kubectl apply -f testdata/job.yaml; kubectl wait --for=condition=Complete job/once --timeout=1m; kubectl logs job/once", "done once"},
		{"a Pod that waits for what is not there says so", `kubectl apply -f testdata/waiting.yaml
kubectl wait pod/waits --for='jsonpath={.status.phase}=Pending' --timeout=1m
until kubectl get pod waits -o yaml | grep 'volume missing'; do sleep 0.2; done`, `secrets "missing" not found`},
	} {
		t.Run(one.name, func(t *testing.T) {
			if said := types(one.script); !strings.Contains(said, one.says) {
				t.Errorf("%s\nsays %q, and no %q", one.script, said, one.says)
			}
		})
	}
}

// machine is an image of this machine's own tools, and of this binary.
func machine(reference string) (cluster.Image, bool) {
	binary, err := os.Executable()
	if err != nil {
		return cluster.Image{}, false
	}
	of := cluster.MachineImage()
	of.Files["/server"] = binary
	return of, reference == "machine:1"
}
