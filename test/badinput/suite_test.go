// Package badinput holds manifests that are wrong, each in its own way: testdata/refused is refused by
// the API server with the message in the file's first line, testdata/explained is accepted, and
// explained by the condition in its first line once the operator runs. Where a file has several
// objects, the last one is meant; of the same name as the one before, it is a change of it. A status is
// what the operator has written by then.
package badinput

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/test/apiserver"
)

func TestBadInput(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Bad input")
}

var (
	server *apiserver.Server
	admin  client.Client
)

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	var err error
	server, err = apiserver.Start(ctx, "../..", apiserver.AllPolicies)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Stop)
	admin = server.Admin()
})

// newNamespace makes a namespace for one test and returns its name.
func newNamespace(ctx SpecContext) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "input-"}}
	Expect(admin.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// manifest is a file of testdata: what its first line says, and the objects that it holds.
type manifest struct {
	says    string
	objects []*unstructured.Unstructured
}

// read reads a manifest whose first line says "# <key>: <what it says>".
func read(path, key string) manifest {
	GinkgoHelper()
	stream, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	first, _, _ := strings.Cut(string(stream), "\n")
	says, found := strings.CutPrefix(first, "# "+key+": ")
	Expect(found).To(BeTrue(), "the first line of %s", path)
	objects, err := apiserver.Decode(stream)
	Expect(err).NotTo(HaveOccurred())
	Expect(objects).NotTo(BeEmpty())
	return manifest{says: says, objects: objects}
}

// files lists the manifests of a directory under testdata.
func files(dir string) []string {
	found, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil {
		panic(err) // the pattern is ours
	}
	return found
}

// write creates an object, or changes the spec of the one of its name.
func write(ctx SpecContext, namespace string, object *unstructured.Unstructured) error {
	object.SetNamespace(namespace)
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(object.GroupVersionKind())
	status, hasStatus := object.Object["status"]
	err := admin.Get(ctx, client.ObjectKeyFromObject(object), live)
	if err != nil {
		if err := admin.Create(ctx, object); err != nil || !hasStatus {
			return err
		}
		object.Object["status"] = status
		return server.As(apiserver.Manager, nil).Status().Update(ctx, object)
	}
	object.SetResourceVersion(live.GetResourceVersion())
	object.SetFinalizers(live.GetFinalizers())
	return admin.Update(ctx, object)
}
