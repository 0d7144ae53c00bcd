package chart

import (
	"context"
	"os"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
)

// The commands of the README and then of docs/install.md, but for those without Helm, as they stand, in their order. Where a cluster would start Pods,
// the suite starts what is in them.
var _ = Describe("The guide", Ordered, func() {
	It("goes from an empty cluster to a reviewed mission, and back", func(ctx SpecContext) {
		startEmpty()
		commands := commandsOf(section(root+"/README.md", "From an empty cluster to a reviewed mission"))
		Expect(len(commands)).To(BeNumerically(">", 12))
		page, err := os.ReadFile(root + "/docs/install.md")
		Expect(err).NotTo(HaveOccurred())
		helms, _, _ := strings.Cut(string(page), "\n## Without Helm\n")
		more := commandsOf(helms)
		Expect(len(more)).To(BeNumerically(">", 5))
		commands = append(commands, more...)

		var said strings.Builder
		running := &operator{}
		DeferCleanup(running.stop)
		for _, command := range commands {
			By(command)
			switch {
			case strings.HasPrefix(command, "helm install "):
				helmed(command)
				running.start(ctx)
				takesAgents(ctx)
			case strings.HasPrefix(command, "helm uninstall "):
				played := make(chan error, 1)
				go func() {
					defer GinkgoRecover()
					played <- playJob(ctx)
				}()
				helmed(command)
				Expect(<-played).To(Succeed())
				Expect(missions(ctx)).To(BeEmpty())
				running.stop()
			case strings.HasPrefix(command, "helm "):
				helmed(command)
			default:
				said.WriteString(shell(ctx, command))
			}
		}
		Expect(said.String()).To(And(
			MatchRegexp(`\nfirst-mission +support-bot +Active +Issued `),
			MatchRegexp(`\nfirst-mission +first-mission +support-bot +Flagged +undeclared_service +True +Approved `)))
		Expect(shell(ctx, "kubectl get crd -l app.kubernetes.io/part-of=agent-passport")).To(ContainSubstring("No resources found"))
	}, NodeTimeout(8*time.Minute))
})

// section is that of a page with a title.
func section(file, title string) string {
	GinkgoHelper()
	page, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	_, found, there := strings.Cut(string(page), "\n## "+title+"\n")
	Expect(there).To(BeTrue(), "%s has no section %q", file, title)
	found, _, _ = strings.Cut(found, "\n## ")
	return found
}

// takesAgents waits until the API server knows what was installed, as it does before a person has typed the next
// command.
func takesAgents(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() (string, error) {
		return server.Shell(ctx, `kubectl create --dry-run=server -f - <<'YAML'
apiVersion: agentpassport.dev/v1alpha1
kind: AgentPassport
metadata: {name: is-it-known, namespace: default}
spec: {grants: [{service: slack}]}
YAML`)
	}).WithTimeout(time.Minute).Should(ContainSubstring("created"))
}

// block is a block of commands in a page.
var block = regexp.MustCompile("(?s)\n```sh\n(.*?)```\n")

// commandsOf gives the commands of a page, each with the lines that it goes on in, and with what it is given to read.
func commandsOf(page string) []string {
	var commands []string
	for _, found := range block.FindAllStringSubmatch(page, -1) {
		command, ends := "", ""
		for line := range strings.Lines(found[1]) {
			command += line
			if strings.Contains(line, "<<'YAML'") {
				ends = "YAML"
			}
			if ends == "" && !strings.HasSuffix(line, "\\\n") || ends != "" && strings.TrimSpace(line) == ends {
				commands = append(commands, strings.TrimSpace(command))
				command, ends = "", ""
			}
		}
	}
	return commands
}

// helmed runs a command of Helm in the root of the project.
func helmed(command string) {
	GinkgoHelper()
	args := strings.Fields(strings.ReplaceAll(command, "\\\n", " "))[1:]
	for i, arg := range args {
		if strings.HasPrefix(arg, "charts/") {
			args[i] = root + "/" + arg
		}
	}
	args = append(args, "--kubeconfig="+server.AdminKubeconfig())
	helm, err := helmcmd.NewRootCmd(GinkgoWriter, args, func(bool) {})
	Expect(err).NotTo(HaveOccurred())
	helm.SetArgs(args)
	helm.SetOut(GinkgoWriter)
	helm.SetErr(GinkgoWriter)
	Expect(helm.Execute()).To(Succeed(), command)
}

// shell runs a command in which kubectl is an administrator's, and gives what it printed.
func shell(ctx context.Context, command string) string {
	GinkgoHelper()
	out, err := server.Shell(ctx, command)
	Expect(err).NotTo(HaveOccurred(), command+"\n"+out)
	return out
}
