package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/documentfile"
	"agentpassport.dev/operator/internal/token"
)

type importCommand struct {
	*session
	consent

	name, codes, signature string
	apply                  bool
}

func (s *session) newDocumentImport() *cobra.Command {
	i := &importCommand{session: s}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Print, or apply, the AgentPassport or CapabilityPassport of a published document",
		Long: `Print, or apply, the AgentPassport or CapabilityPassport of a published document. In what is printed, the document
stands as it was published, comments included.

With --apply, an object that is there already gets the new document alone, and codes and signature where they are
given: an agent's grants and accountability stay as they are. It shows what the agent or package gains and loses, and
asks.`,
		Example: `  kubectl passport document import claude-code.yaml -n agents > agentpassport.yaml
  kubectl passport document import claude-code.yaml -n agents --name=coder --signature=claude-code.jws --apply`,
		Args: exactly(1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&i.name, "name", "", "The name of the object (default: the agent's or the package's, in lower case and with hyphens).")
	flags.StringVar(&i.codes, "codes", "", "A file with the codes of the document, as in spec.codes.")
	flags.StringVar(&i.signature, "signature", "", "The vendor's signature, or a file with it.")
	flags.BoolVar(&i.apply, "apply", false, "Apply it, after asking.")
	i.add(cmd)
	must(cmd.MarkFlagFilename("codes", "yaml", "yml", "json"))
	must(cmd.MarkFlagFilename("signature"))
	return cmd
}

func (i *importCommand) run(ctx context.Context, given string) error {
	if !i.apply && (i.yes || i.dryRun) {
		return misuse("--yes and --dry-run go with --apply")
	}
	file, err := i.documentIn(given)
	if err != nil {
		return err
	}
	name, err := i.nameOf(file)
	if err != nil {
		return err
	}
	if err := i.beside(file); err != nil {
		return err
	}
	if !i.apply {
		manifest, err := file.Manifest(name, *i.flags.Namespace)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(i.Out, printers.EscapeTerminal(string(manifest)))
		return err
	}
	c, err := i.connect()
	if err != nil {
		return err
	}
	if file.Agent != nil {
		return i.applyAgent(ctx, c, file, name)
	}
	return i.applyPackage(ctx, c, file, name)
}

// nameOf is the name of the object.
func (i *importCommand) nameOf(file *documentfile.File) (string, error) {
	name := i.name
	if name == "" {
		name = file.Name()
	}
	if name == "" {
		return "", misuse("no name can be made from the document's: give --name")
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return "", misuse("--name=%s: %s", name, problems[0])
	}
	return name, nil
}

// beside puts the codes and the signature that are given beside the document.
func (i *importCommand) beside(file *documentfile.File) error {
	if i.codes != "" {
		data, err := i.readFile(i.codes)
		if err != nil {
			return fmt.Errorf("--codes: %w", err)
		}
		codes := &v1alpha1.CapabilityCodes{}
		if err := yaml.UnmarshalStrict(data, codes); err != nil {
			return fmt.Errorf("--codes %s: not the codes of a document, which are lists by the names reads, writes, accesses, spends, exposes and approvals: %w", i.codes, err)
		}
		file.SetCodes(codes)
	}
	if i.signature != "" {
		jws, err := i.signatureIn(i.signature)
		if err != nil {
			return err
		}
		file.SetJWS(jws)
	}
	return nil
}

func (i *importCommand) applyAgent(ctx context.Context, c *cluster, file *documentfile.File, name string) error {
	found := &v1alpha1.AgentPassport{}
	err := c.Get(ctx, c.key(name), found)
	if apierrors.IsNotFound(err) {
		made := file.Agent
		made.Namespace, made.Name = c.namespace, name
		return i.create(ctx, c, made, kindAgentPassport, " It has no grants yet.")
	}
	if err != nil {
		return err
	}
	changed := found.DeepCopy()
	changed.Spec.Document = file.Agent.Spec.Document
	if file.Codes() != nil {
		changed.Spec.Codes = file.Codes()
	}
	if file.JWS() != "" {
		changed.Spec.Signature = file.Agent.Spec.Signature
	}
	was := &documentfile.File{Agent: found}
	if found.Spec.Document == nil {
		was = nil
	}
	return i.replace(ctx, c, changed, found, was, &documentfile.File{Agent: changed})
}

func (i *importCommand) applyPackage(ctx context.Context, c *cluster, file *documentfile.File, name string) error {
	found := &v1alpha1.CapabilityPassport{}
	err := c.Get(ctx, c.key(name), found)
	if apierrors.IsNotFound(err) {
		made := file.Package
		made.Namespace, made.Name = c.namespace, name
		return i.create(ctx, c, made, kindCapabilityPassport, "")
	}
	if err != nil {
		return err
	}
	changed := found.DeepCopy()
	changed.Spec.Document = file.Package.Spec.Document
	if file.Codes() != nil {
		changed.Spec.Codes = file.Codes()
	}
	if file.JWS() != "" {
		changed.Spec.Signature = file.Package.Spec.Signature
	}
	return i.replace(ctx, c, changed, found, &documentfile.File{Package: found}, &documentfile.File{Package: changed})
}

func (i *importCommand) create(ctx context.Context, c *cluster, made client.Object, kind, note string) error {
	what := fmt.Sprintf("%s %s in namespace %s", kind, made.GetName(), c.namespace)
	if err := i.confirm(&i.consent, "Create "+what+"?"); err != nil {
		return err
	}
	if err := c.Create(ctx, made, i.creates()...); err != nil {
		return err
	}
	_, err := fmt.Fprintln(i.Out, i.done(what+" created."+note))
	return err
}

// replace writes the new document into an object that is there. was is nil where it had none.
func (i *importCommand) replace(ctx context.Context, c *cluster, changed, found client.Object, was, is *documentfile.File) error {
	kind := kindAgentPassport
	if is.Agent == nil {
		kind = kindCapabilityPassport
	}
	what := fmt.Sprintf("%s %s in namespace %s", kind, found.GetName(), c.namespace)
	stale := false
	if was != nil {
		changes := changesOf(was, is)
		if len(changes) == 0 && was.JWS() == is.JWS() {
			_, err := fmt.Fprintln(i.Out, what+" has this document already")
			return err
		}
		p := &page{out: i.ErrOut}
		sayChanges(p, changes)
		if p.err != nil {
			return p.err
		}
		stale = len(changes) > 0 && was.JWS() != "" && was.JWS() == is.JWS()
	}
	if err := i.confirm(&i.consent, "Replace the document of "+what+"?"); err != nil {
		return err
	}
	want, err := token.DocumentDigest(is.Document().Raw())
	if err != nil {
		return err
	}
	if err := c.patch(ctx, changed, found, i.patches()...); err != nil {
		return err
	}
	if got, err := token.DocumentDigest(is.Document().Raw()); err != nil || got != want {
		return errors.Join(fmt.Errorf("%s was written, and the API server holds another document than the file's: compare them with kubectl passport document diff", what), err)
	}
	said := what + " has the new document"
	if stale {
		said += ". Its signature is of the one before: have the vendor sign, and give --signature"
	}
	_, err = fmt.Fprintln(i.Out, i.done(said))
	return err
}
