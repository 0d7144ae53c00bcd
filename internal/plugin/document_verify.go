package plugin

import (
	"context"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/signature"
	"agentpassport.dev/operator/internal/token"
)

type verifyDocumentCommand struct {
	*session
	trust

	signature string
}

func (s *session) newDocumentVerify() *cobra.Command {
	v := &verifyDocumentCommand{session: s}
	cmd := &cobra.Command{
		Use:   "verify FILE | KIND/NAME",
		Short: "Say whether a document's vendor signed it",
		Long: `Say whether a document's vendor signed it. The signature is the one beside the document in its object or manifest, or
--signature. The keys are those of the cluster's VendorKeys; with --vendor-key or --public-key no cluster is asked
for keys. With --public-key you vouch yourself that the key is the vendor's.

It exits with 0 where the document is verified, with 2 where it is not, and with 1 where that cannot be said.`,
		Example: `  kubectl passport document verify agentpassport/support-bot -n agents
  kubectl passport document verify support-bot.yaml --signature=support-bot.jws --vendor-key=example-helpdesk.yaml
  kubectl passport document verify support-bot.yaml --signature=support-bot.jws --public-key=vendor.pub`,
		Args:              exactly(1, "one file, or KIND/NAME"),
		ValidArgsFunction: s.completeDocuments,
		RunE:              func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&v.signature, "signature", "", "The signature, or a file with it.")
	v.add(cmd)
	must(cmd.MarkFlagFilename("signature"))
	return cmd
}

func (v *verifyDocumentCommand) run(ctx context.Context, given string) error {
	file, err := v.documentOf(ctx, given)
	if err != nil {
		return err
	}
	jws := file.JWS()
	if v.signature != "" {
		if jws, err = v.signatureIn(v.signature); err != nil {
			return err
		}
	}
	keys, err := v.keys(ctx, &v.trust, file.Vendor())
	if err != nil {
		return err
	}
	digest, err := token.DocumentDigest(file.Document().Raw())
	if err != nil {
		return err
	}
	now := v.clock.Now()
	if v.offline() {
		now = v.local.Now()
	}
	result := signature.Verify(file.Document().Raw(), jws, file.Vendor(), keys, now)
	p := &page{out: v.Out}
	p.row("document", "%s", file.Subject())
	p.row("sha256", "%s", digest)
	if result.Verified {
		p.row("key", "%s", result.Fingerprint)
		if !result.Until.IsZero() {
			p.row("until", "%s", stamp(result.Until))
		}
		if result.VendorKey == v.publicKey {
			result.Message = "signed by the key in " + v.publicKey
		}
		p.line("verified: %s", result.Message)
		return p.err
	}
	p.line("not verified (%s): %s", result.Reason, result.Message)
	if p.err != nil {
		return p.err
	}
	return ended(exitBad)
}
