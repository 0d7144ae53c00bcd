package main

import (
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/keysecret"
)

// newRotateKey is the command that has the log sign with a new key.
func newRotateKey() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "rotate-key --namespace NAMESPACE | --key-file FILE",
		Short: "Have the log sign with a new key.",
		Long: `Have the log sign with a new key: it is put beside the private keys that are there. The service signs with it as
soon as it has read them again; it leaves a record, and a statement that the key before it has signed. Heads that
were signed before still verify.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.check(); err != nil {
				return err
			}
			var next keys.Public
			var err error
			if p.keyFile != "" {
				next, err = keys.AddToFile(p.keyFile, rand.Reader)
			} else {
				c, connectErr := connect()
				if connectErr != nil {
					return connectErr
				}
				next, err = keysecret.Add(cmd.Context(), c, p.at(), rand.Reader, p.name)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The log will sign with %s\n", next)
			return err
		},
	}
	p.flags(cmd)
	return cmd
}
