package plugin

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/process"
)

// block is one of a document's, and as whom it is run: the word behind sh.
var block = regexp.MustCompile("(?ms)^```sh ?([a-z]*)\n(.*?)\n```$")

// played are the documents, in the order in which a reader would play them.
var played = []string{"kubectl-plugin.md", "documents.md", "policy.md"}

var _ = Describe("The documentation", Ordered, func() {
	var p *place
	var path string

	BeforeAll(func(ctx SpecContext) {
		Expect(server.Admin().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "agents"}})).To(Succeed())
		Expect(apiserver.Consent(ctx, server.Admin(), "agents")).To(Succeed())
		p = peopled(ctx, "agents")
		p.kubectl("create", "serviceaccount", "chief-auditor")
		p.kubectl("create", "clusterrolebinding", "chief-auditor", "--clusterrole=agent-passport-auditor", "--serviceaccount=agents:chief-auditor")
		binary, err := process.Build(ctx, root, p.dir, "kubectl-passport")
		Expect(err).NotTo(HaveOccurred())
		assets, err := filepath.Abs(os.Getenv("KUBEBUILDER_ASSETS"))
		Expect(err).NotTo(HaveOccurred())
		path = filepath.Dir(binary) + ":" + assets + ":" + os.Getenv("PATH")
		Expect(os.WriteFile(filepath.Join(p.dir, "auditlog.pub"), []byte(auditKey(p)), 0o600)).To(Succeed())
		Expect(os.CopyFS(p.dir, os.DirFS(filepath.Join(root, "config", "samples", "documents")))).To(Succeed())
	})

	for i, found := range blocks() {
		who, script := string(found[1]), string(found[2])
		first, _, _ := strings.Cut(script, "\n")
		It("runs "+first, func(ctx SpecContext) {
			if strings.Contains(script, "./copy") {
				Expect(os.CopyFS(filepath.Join(p.dir, "copy"), os.DirFS(filepath.Join(auditLog.Dir, "log")))).To(Succeed())
			}
			kubeconfig := map[string]string{"": p.kubeconfigs[viewer], "admin": p.kubeconfigs[admin], "agent": p.kubeconfigs[agent]}[who]
			if kubeconfig == "" {
				kubeconfig = p.kubeconfigs[who]
			}
			Expect(kubeconfig).NotTo(BeEmpty(), "block %d is for %q", i, who)
			// CHECKOUT outlives its block, as in a reader's shell.
			checkout := filepath.Join(p.dir, "checkout.env")
			run := exec.CommandContext(ctx, "sh", "-euc", "[ ! -f "+checkout+" ] || . "+checkout+"\n"+script+
				"\n[ -z \"${CHECKOUT-}\" ] || echo CHECKOUT=$CHECKOUT > "+checkout)
			run.Dir = p.dir
			run.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+path, "LOG=--audit-log="+auditLog.URL)
			var out bytes.Buffer
			run.Stdout, run.Stderr = &out, &out
			Expect(run.Run()).To(Succeed(), "%s\n%s", script, &out)
			GinkgoWriter.Println(out.String())
		})
	}

	// The snippets for pipelines need no cluster, and get none.
	for _, snippet := range []struct{ file, steps string }{
		{"documents.github.yaml", "{.jobs.documents.steps[*].run}"},
		{"documents.gitlab-ci.yaml", "{.documents.script}"},
	} {
		It("runs "+snippet.file, func(ctx SpecContext) {
			text, err := os.ReadFile(filepath.Join(root, "docs", snippet.file))
			Expect(err).NotTo(HaveOccurred())
			page, err := os.ReadFile(filepath.Join(root, "docs", "documents.md"))
			Expect(err).NotTo(HaveOccurred())
			Expect(string(page)).To(ContainSubstring("```yaml\n"+string(text)+"```"), "documents.md shows %s", snippet.file)
			steps := stepsOf(text, snippet.steps)
			Expect(steps).To(HaveLen(2))
			pipeline := func(script string) (string, error) {
				run := exec.CommandContext(ctx, "sh", "-euc", script)
				run.Dir = p.dir
				run.Env = append(os.Environ(), "KUBECONFIG=/dev/null", "PATH="+path)
				out, err := run.CombinedOutput()
				return string(out), err
			}
			for _, step := range steps {
				out, err := pipeline(step)
				Expect(err).NotTo(HaveOccurred(), "%s\n%s", step, out)
			}
			// It gates: a package that the agent does not cover ends it.
			bad := strings.ReplaceAll(steps[1], "ticket-digest", "release-helper")
			Expect(bad).NotTo(Equal(steps[1]))
			out, err := pipeline(bad)
			Expect(err).To(MatchError("exit status 2"), out)
		})
	}
})

// blocks are those of all documents.
func blocks() [][][]byte {
	var found [][][]byte
	for _, name := range played {
		document, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			panic(err)
		}
		found = append(found, block.FindAllSubmatch(document, -1)...)
	}
	return found
}

// stepsOf gives the commands at a place in a YAML file.
func stepsOf(text []byte, at string) []string {
	GinkgoHelper()
	var file any
	Expect(yaml.Unmarshal(text, &file)).To(Succeed())
	path := jsonpath.New("steps")
	Expect(path.Parse(at)).To(Succeed())
	found, err := path.FindResults(file)
	Expect(err).NotTo(HaveOccurred())
	var steps []string
	for _, value := range found[0] {
		switch value := value.Interface().(type) {
		case string:
			steps = append(steps, value)
		case []any:
			for _, one := range value {
				steps = append(steps, one.(string))
			}
		}
	}
	return steps
}
