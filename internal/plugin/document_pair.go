package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/documentfile"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/policy"
)

// What pair fails on.
const (
	failOnNone    = "none"
	failOnOutside = "outside"
	failOnUnclear = "unclear"
)

var (
	installModes = []v1alpha1.InstallMode{v1alpha1.InstallLocalTool, v1alpha1.InstallCloudSandbox, v1alpha1.InstallRemoteConnector}
	failures     = []string{failOnOutside, failOnUnclear, failOnNone}
)

type pairCommand struct {
	*session
	trust
	output output

	mode, failOn string
	policies     []string
	all          bool
}

func (s *session) newDocumentPair() *cobra.Command {
	r := &pairCommand{session: s}
	cmd := &cobra.Command{
		Use:   "pair PACKAGE-FILE AGENT-FILE --install-mode=MODE",
		Short: "Say whether an agent covers what a package declares, with an exit code for pipelines",
		Long: `Say whether an agent covers what a package declares, as a CompatibilityCheck does, and without a cluster: approvals
first, then what a sandbox and the install mode forbid, then the other fields.

--policy asks the rules of PolicyPacks that are for installs, too. They see what the two files have: a document alone
has no grants, and is not verified. --vendor-key and --public-key have signatures in the files checked.

   0  compatible: the agent covers all that the package declares
   1  it could not be said: a file cannot be read
   2  something falls outside the agent's envelope, or a rule of a PolicyPack blocks
   3  nothing falls outside, and a person has to compare what is unclear
  64  the command line is wrong

--fail-on=outside makes 3 a 0, --fail-on=none both 2 and 3.`,
		Example: `  kubectl passport document pair costguard.yaml claude-code.yaml --install-mode=local-tool
  kubectl passport document pair costguard.yaml claude-code.yaml --install-mode=local-tool --policy=pack.yaml --fail-on=outside`,
		Args: exactly(2, "the package's file and the agent's"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&r.mode, "install-mode", "", "How the package is to be installed: "+joined(installModes)+".")
	flags.StringVar(&r.failOn, "fail-on", failOnUnclear, "What is not good enough: outside, unclear (which has outside in it) or none.")
	flags.StringSliceVar(&r.policies, "policy", nil, "A file with PolicyPacks to ask. May be given more than once.")
	flags.BoolVar(&r.all, "all", false, "Show what is covered, too.")
	r.add(cmd)
	r.output.addTable(cmd)
	must(cmd.MarkFlagFilename("policy", "yaml", "yml", "json"))
	s.complete(cmd, "install-mode", cobra.FixedCompletions(strings.Split(joined(installModes), ", "), cobra.ShellCompDirectiveNoFileComp))
	s.complete(cmd, "fail-on", cobra.FixedCompletions(failures, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (r *pairCommand) run(ctx context.Context, packageName, agentName string) error {
	if err := r.check(packageName, agentName); err != nil {
		return err
	}
	pkg, err := r.documentIn(packageName)
	if err != nil {
		return err
	}
	agent, err := r.documentIn(agentName)
	if err != nil {
		return err
	}
	switch {
	case pkg.Package == nil:
		return misuse("%s has an agent's document: the package comes first, then the agent", packageName)
	case agent.Agent == nil:
		return misuse("%s has a package's document: the package comes first, then the agent", agentName)
	}
	packs, err := r.packs()
	if err != nil {
		return err
	}
	if err := r.read(ctx, pkg, agent); err != nil {
		return err
	}
	pairing := capability.Pair(
		capability.Package{Document: &pkg.Package.Spec.Document, Codes: pkg.Package.Spec.Codes},
		capability.Agent{Document: agent.Agent.Spec.Document, Codes: agent.Agent.Spec.Codes}, v1alpha1.InstallMode(r.mode))
	checked := r.checked(pkg.Package, agent.Agent, packs, pairing)
	if r.output.human() {
		err = r.print(pkg, agent, pairing, checked)
	} else {
		err = r.output.object(checked, r.Out)
	}
	if err != nil {
		return err
	}
	return ended(r.code(pairing, checked.Status.Policy))
}

func (r *pairCommand) check(packageName, agentName string) error {
	switch {
	case r.mode == "":
		return misuse("--install-mode is missing: want one of %s", joined(installModes))
	case !slices.Contains(installModes, v1alpha1.InstallMode(r.mode)):
		return misuse("--install-mode=%s: want one of %s", r.mode, joined(installModes))
	case !slices.Contains(failures, r.failOn):
		return misuse("--fail-on=%s: want outside, unclear or none", r.failOn)
	case packageName == stdin && agentName == stdin:
		return misuse("standard input holds one document: name a file for the other")
	}
	return r.output.check()
}

func (r *pairCommand) packs() ([]v1alpha1.PolicyPack, error) {
	var packs []v1alpha1.PolicyPack
	for _, name := range r.policies {
		data, err := r.readFile(name)
		if err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
		more, err := manifests[v1alpha1.PolicyPack](data, "PolicyPack")
		if err != nil {
			return nil, fmt.Errorf("--policy %s: %w", name, err)
		}
		packs = append(packs, more...)
	}
	return packs, nil
}

// read fills in what the operator would know of the two documents: their digests, and whether they are verified.
func (r *pairCommand) read(ctx context.Context, pkg, agent *documentfile.File) error {
	keys := func(file *documentfile.File) ([]v1alpha1.VendorKey, error) {
		if !r.offline() {
			return nil, nil
		}
		return r.keys(ctx, &r.trust, file.Vendor())
	}
	packageKeys, err := keys(pkg)
	if err != nil {
		return err
	}
	agentKeys, err := keys(agent)
	if err != nil {
		return err
	}
	now := r.local.Now()
	packageReading, err := lifecycle.ReadPackage(pkg.Package, packageKeys, now)
	if err != nil {
		return err
	}
	agentReading, err := lifecycle.ReadAgent(agent.Agent, agentKeys, now)
	if err != nil {
		return err
	}
	pkg.Package.Status.DocumentDigest, pkg.Package.Status.Verified = packageReading.Digest, &packageReading.Proof.Verified
	agent.Agent.Status.DocumentDigest, agent.Agent.Status.Verified = agentReading.Digest, &agentReading.Proof.Verified
	return nil
}

// checked is what the operator would say, as a CompatibilityCheck, but with every finding.
func (r *pairCommand) checked(
	pkg *v1alpha1.CapabilityPassport, agent *v1alpha1.AgentPassport, packs []v1alpha1.PolicyPack, pairing capability.Pairing,
) *v1alpha1.CompatibilityCheck {
	check := &v1alpha1.CompatibilityCheck{
		TypeMeta:   typeOf("CompatibilityCheck"),
		ObjectMeta: metav1.ObjectMeta{Name: pkg.Name + "-" + agent.Name},
		Spec: v1alpha1.CompatibilityCheckSpec{
			PackageRef: v1alpha1.CapabilityPassportReference{Name: pkg.Name}, AgentRef: v1alpha1.AgentReference{Name: agent.Name},
			InstallMode: v1alpha1.InstallMode(r.mode), Enforcement: v1alpha1.EnforcementInform,
		},
	}
	check.Status = lifecycle.Compatibility(check, pkg, agent, packs, r.local.Now())
	check.Status.Findings = pairing.Findings()
	return check
}

// code is what the pipeline is told.
func (r *pairCommand) code(pairing capability.Pairing, rules []v1alpha1.PolicyFinding) int {
	coverage := pairing.Coverage()
	switch {
	case r.failOn == failOnNone:
		return exitGood
	case coverage == v1alpha1.CoverageOutside, len(policy.Of(v1alpha1.PolicyBlock, rules)) > 0:
		return exitBad
	case coverage == v1alpha1.CoverageUnclear && r.failOn == failOnUnclear:
		return exitAwaitsReview
	default:
		return exitGood
	}
}
