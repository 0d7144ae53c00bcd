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

	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/process"
)

// block is one of a document's, and as whom it is run: the word behind sh.
var block = regexp.MustCompile("(?ms)^```sh ?([a-z]*)\n(.*?)\n```$")

var _ = Describe("docs/kubectl-plugin.md", Ordered, func() {
	document, err := os.ReadFile(filepath.Join(root, "docs", "kubectl-plugin.md"))
	if err != nil {
		panic(err)
	}
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
	})

	for i, found := range block.FindAllSubmatch(document, -1) {
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
})
