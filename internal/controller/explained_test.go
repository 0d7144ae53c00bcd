package controller_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"agentpassport.dev/operator/test/apiserver"
)

// Manifests that the API accepts although something is wrong with them: a condition says what.
var _ = Describe("A manifest that is odd, but not refused", func() {
	files, err := filepath.Glob("../../test/badinput/testdata/explained/*.yaml")
	if err != nil || len(files) == 0 {
		panic(fmt.Sprintf("no manifests found: %v", err))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		It("is explained: "+strings.ReplaceAll(name, "-", " "), func(ctx context.Context) {
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			// The first line is "# Condition: KIND TYPE=STATUS REASON", about the last object.
			first, _, _ := strings.Cut(string(content), "\n")
			words := strings.Fields(strings.TrimPrefix(first, "# Condition: "))
			Expect(words).To(HaveLen(3), first)
			kind, statement := words[0], words[1]+" "+words[2]

			w := newWorld(ctx)
			if strings.HasSuffix(statement, " NamespaceNotEnabled") {
				w.withdrawConsent()
			}
			objects, err := apiserver.Decode(content)
			Expect(err).NotTo(HaveOccurred())
			for i, object := range objects {
				object.SetNamespace(w.namespace)
				Expect(w.admin.Create(ctx, object)).To(Succeed())
				if i == len(objects)-2 {
					w.settle()
				}
			}
			w.settle()
			last := objects[len(objects)-1]
			Expect(last.GetKind()).To(Equal(kind))
			Expect(w.get(last.GetName(), last)).To(Succeed())
			Expect(statements(last)).To(ContainElement(statement))
		})
	}
})

// statements gives an object's conditions as "TYPE=STATUS REASON".
func statements(object *unstructured.Unstructured) []string {
	GinkgoHelper()
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	Expect(err).NotTo(HaveOccurred())
	var said []string
	for _, item := range conditions {
		condition, ok := item.(map[string]any)
		Expect(ok).To(BeTrue())
		said = append(said, fmt.Sprintf("%s=%s %s", condition["type"], condition["status"], condition["reason"]))
	}
	return said
}
