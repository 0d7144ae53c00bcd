package plugin

import (
	"crypto/ed25519"
	"fmt"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/documentfile"
	"agentpassport.dev/operator/internal/signature"
)

type signCommand struct {
	*session

	key, format string
}

func (s *session) newDocumentSign() *cobra.Command {
	g := &signCommand{session: s}
	cmd := &cobra.Command{
		Use:   "sign FILE --key=KEY.pem",
		Short: "Sign a document as its vendor",
		Long: `Sign a document as its vendor: a detached JWS over its canonical JSON (RFC 8785), with Ed25519. White space and the
order of fields do not count; every other change needs a new signature.

The key is one that openssl makes: openssl genpkey -algorithm ed25519 -out vendor.pem. It is never printed. Standard
error says its fingerprint, which a VendorKey shows too.`,
		Example: `  kubectl passport document sign support-bot.yaml --key=vendor.pem > support-bot.jws
  kubectl passport document sign support-bot.yaml --key=vendor.pem -o yaml > patch.yaml
  openssl pkey -in encrypted.pem | kubectl passport document sign support-bot.yaml --key=-`,
		Args: exactly(1, "one file"),
		RunE: func(_ *cobra.Command, args []string) error { return g.run(args[0]) },
	}
	cmd.Flags().StringVar(&g.key, "key", "", "A file with the vendor's private key (Ed25519, PKCS #8 PEM), or - for standard input.")
	cmd.Flags().StringVarP(&g.format, "output", "o", "", "yaml prints the signature as a patch of the object that has the document.")
	must(cmd.MarkFlagFilename("key", "pem"))
	s.complete(cmd, "output", cobra.FixedCompletions([]string{formatYAML}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (g *signCommand) run(name string) error {
	switch {
	case g.key == "":
		return misuse("--key is missing: openssl genpkey -algorithm ed25519 -out vendor.pem makes one")
	case g.key == stdin && name == stdin:
		return misuse("standard input holds the document or the key: name a file for the other")
	case g.format != "" && g.format != formatYAML:
		return misuse("--output=%s: want yaml, or nothing for the signature alone", g.format)
	}
	file, err := g.documentIn(name)
	if err != nil {
		return err
	}
	data, err := g.readFile(g.key)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	key, err := signature.ParsePrivateKey(string(data))
	if err != nil {
		return fmt.Errorf("--key %s cannot sign: %w", g.key, err)
	}
	jws, err := signature.Sign(file.Document().Raw(), key)
	if err != nil {
		return err
	}
	public := key.Public().(ed25519.PublicKey)
	fingerprint := signature.Fingerprint(public)
	if named := namedFingerprint(file); named != "" && named != fingerprint {
		return fmt.Errorf("the document names key %s in identity_key_fingerprint, and --key is %s: nobody would believe the signature. "+
			"Write the fingerprint in, or %s, and sign again", clean(named), fingerprint, signature.NoFingerprint)
	}
	if _, err := fmt.Fprintf(g.ErrOut, "signed %s with key %s\n", clean(file.Subject()), fingerprint); err != nil {
		return err
	}
	if g.format == formatYAML {
		jws = "spec:\n  signature:\n    jws: " + jws
	}
	_, err = fmt.Fprintln(g.Out, jws)
	return err
}

// namedFingerprint is the key that an agent's document says it has; empty where it names none.
func namedFingerprint(file *documentfile.File) string {
	if file.Agent == nil || file.Agent.Spec.Document.IdentityKeyFingerprint == signature.NoFingerprint {
		return ""
	}
	return file.Agent.Spec.Document.IdentityKeyFingerprint
}
