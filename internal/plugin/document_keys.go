package plugin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/signature"
)

// trust is which keys a signature is held against.
type trust struct {
	vendorKeys []string
	publicKey  string
}

func (t *trust) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&t.vendorKeys, "vendor-key", nil, "A file with VendorKeys to trust, without asking a cluster. May be given more than once.")
	cmd.Flags().StringVar(&t.publicKey, "public-key", "", "A file with the vendor's public key (Ed25519, PEM) to trust, without asking a cluster.")
	must(cmd.MarkFlagFilename("vendor-key", "yaml", "yml", "json"))
	must(cmd.MarkFlagFilename("public-key", "pem", "pub"))
}

// offline says that the keys are given.
func (t *trust) offline() bool { return len(t.vendorKeys) > 0 || t.publicKey != "" }

// keys gives the keys that are trusted for a vendor: those that are given, or else the cluster's.
func (s *session) keys(ctx context.Context, t *trust, vendor string) ([]v1alpha1.VendorKey, error) {
	if !t.offline() {
		c, err := s.connect()
		if err != nil {
			return nil, err
		}
		list := &v1alpha1.VendorKeyList{}
		if err := c.List(ctx, list); err != nil {
			return nil, fmt.Errorf("the trusted keys cannot be read from the cluster; give them with --vendor-key or --public-key: %w", err)
		}
		return list.Items, nil
	}
	var keys []v1alpha1.VendorKey
	for _, name := range t.vendorKeys {
		data, err := s.readFile(name)
		if err != nil {
			return nil, fmt.Errorf("--vendor-key: %w", err)
		}
		more, err := manifests[v1alpha1.VendorKey](data, "VendorKey")
		if err != nil {
			return nil, fmt.Errorf("--vendor-key %s: %w", name, err)
		}
		keys = append(keys, more...)
	}
	if t.publicKey == "" {
		return keys, nil
	}
	data, err := s.readFile(t.publicKey)
	if err != nil {
		return nil, fmt.Errorf("--public-key: %w", err)
	}
	if _, err := signature.ParsePublicKey(string(data)); err != nil {
		return nil, fmt.Errorf("--public-key %s cannot be used: %w", t.publicKey, err)
	}
	return append(keys, v1alpha1.VendorKey{
		ObjectMeta: metav1.ObjectMeta{Name: t.publicKey},
		Spec:       v1alpha1.VendorKeySpec{Vendor: vendor, Keys: []v1alpha1.VendorPublicKey{{Name: "the key", PublicKey: string(data)}}},
	}), nil
}

// manifests reads objects of one kind, one or more to a file. A field that the kind does not have is refused.
func manifests[T any](data []byte, kind string) ([]T, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var all []T
	for {
		one, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(one)) == 0 {
			continue
		}
		var is metav1.TypeMeta
		if err := yaml.Unmarshal(one, &is); err != nil {
			return nil, fmt.Errorf("not the manifest of a %s: %w", kind, err)
		}
		if is != typeOf(kind) {
			return nil, fmt.Errorf("it has a %q in %q, and a %s in %s is needed", is.Kind, is.APIVersion, kind, v1alpha1.GroupVersion)
		}
		var object T
		if err := yaml.UnmarshalStrict(one, &object); err != nil {
			return nil, fmt.Errorf("not the manifest of a %s: %w", kind, err)
		}
		all = append(all, object)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no %s in it", kind)
	}
	return all, nil
}
