//go:build linux

package docs

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// elsewhere says of pages, and of sections (PAGE#SECTION), who else plays their commands, or why nobody does.
var elsewhere = map[string]string{
	"CONTRIBUTING.md":                    "`make test`, `make lint` and `make verify` are what .ci/run runs; `make run` is in internal/playground/session_test.go",
	"README.md#Try it":                   "`make test` is what .ci/run runs; `make run` is in internal/playground/session_test.go",
	"docs/development.md":                "how this suite is run",
	"docs/documents.md":                  "test/plugin/docs_test.go",
	"docs/kubectl-plugin.md":             "test/plugin/docs_test.go",
	"docs/pipelines.md#A whole pipeline": "test/gate/pipeline_test.go",
	"docs/playground.md":                 "internal/playground/session_test.go",
	"docs/policy.md":                     "test/plugin/docs_test.go",
	"docs/releasing.md":                  "a release takes minutes, and its signatures are made by the workflow alone; hack/release has tests of its parts",
}

var _ = Describe("The pages", func() {
	It("have no command that nobody runs", func() {
		played := map[string]bool{}
		for page := range elsewhere {
			mark(played, page)
		}
		for _, one := range everything() {
			mark(played, strings.TrimSuffix(one.page+"#"+one.section, "#"))
		}
		var forgotten []string
		for _, pattern := range []string{"*.md", "docs/*.md", "docs/runbooks/*.md"} {
			pages, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
			Expect(err).NotTo(HaveOccurred())
			for _, file := range pages {
				page, err := filepath.Rel(root, file)
				Expect(err).NotTo(HaveOccurred())
				text, err := os.ReadFile(file)
				Expect(err).NotTo(HaveOccurred())
				for _, one := range block.FindAllString(string(text), -1) {
					if key := filepath.ToSlash(page) + "\n" + one; !played[key] {
						forgotten = append(forgotten, key)
					}
				}
			}
		}
		Expect(forgotten).To(BeEmpty(), "put the page into readings, or say in elsewhere who plays it")
	})
})

// mark notes the blocks of a page or of a section of it.
func mark(played map[string]bool, of string) {
	GinkgoHelper()
	page, section, _ := strings.Cut(of, "#")
	for _, one := range block.FindAllString(part(page, section), -1) {
		played[page+"\n"+one] = true
	}
}
