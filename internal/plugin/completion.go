package plugin

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// completionTime bounds a completion: a shell waits for it.
const completionTime = 3 * time.Second

// complete has a flag completed by a function.
func (s *session) complete(cmd *cobra.Command, flag string, by cobra.CompletionFunc) {
	must(cmd.RegisterFlagCompletionFunc(flag, by))
}

// names completes with the names of the objects that a list gives. Without the cluster there are none, and no
// message: it would land in the command line.
func (s *session) names(list func() client.ObjectList, wanted func(client.Object) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const done = cobra.ShellCompDirectiveNoFileComp
		c, err := s.connect()
		if err != nil {
			return nil, done
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		found := list()
		if err := c.List(ctx, found, c.in(false)); err != nil {
			return nil, done
		}
		items, err := meta.ExtractList(found)
		if err != nil {
			return nil, done
		}
		var names []cobra.Completion
		for _, item := range items {
			object, ok := item.(client.Object)
			if ok && (wanted == nil || wanted(object)) && !slices.Contains(given, object.GetName()) {
				names = append(names, object.GetName())
			}
		}
		return names, done
	}
}

func (s *session) completeAgents(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.names(func() client.ObjectList { return &v1alpha1.AgentPassportList{} }, nil)(cmd, args, typed)
}

func (s *session) completePackages(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.names(func() client.ObjectList { return &v1alpha1.CapabilityPassportList{} }, nil)(cmd, args, typed)
}

func (s *session) completePassports(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.names(func() client.ObjectList { return &v1alpha1.PassportList{} }, nil)(cmd, args, typed)
}

func (s *session) completeLivePassports(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.names(func() client.ObjectList { return &v1alpha1.PassportList{} }, func(object client.Object) bool {
		return !object.(*v1alpha1.Passport).Status.Phase.Finished()
	})(cmd, args, typed)
}

func (s *session) completeCheckouts(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.names(func() client.ObjectList { return &v1alpha1.CheckoutList{} }, nil)(cmd, args, typed)
}

func (s *session) completeAwaitingReview(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.names(func() client.ObjectList { return &v1alpha1.CheckoutList{} }, func(object client.Object) bool {
		return awaitsReview(object.(*v1alpha1.Checkout))
	})(cmd, args, typed)
}

// completeTargets completes what wait waits for.
func (s *session) completeTargets(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	passports, done := s.completePassports(cmd, args, typed)
	checkouts, _ := s.completeCheckouts(cmd, args, typed)
	for _, name := range checkouts {
		passports = append(passports, checkoutPrefix+name)
	}
	return passports, done
}

func (s *session) completeNamespaces(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return s.names(func() client.ObjectList { return &corev1.NamespaceList{} }, nil)(cmd, args, typed)
}

func (s *session) completeContexts(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	config, err := s.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for name := range config.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}
