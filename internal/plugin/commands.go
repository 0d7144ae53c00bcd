package plugin

import "github.com/spf13/cobra"

// commands are all that there is, in the order of the help.
func (s *session) commands() []*cobra.Command {
	return []*cobra.Command{
		s.newIssue(),
		s.newList(),
		s.newDescribe(),
		s.newWatch(),
		s.newCheckpoint(),
		s.newCheckout(),
		s.newWait(),
		s.newReview(),
		s.newBlock(),
		s.newUnblock(),
		s.newRevoke(),
		s.newEnable(),
		s.newKeys(),
		s.newStatus(),
		s.newDocument(),
		s.newVerify(),
		s.newAudit(),
	}
}
