package extauthz_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

const page = "../../../docs/gateway-envoy.md"

// snippet is one piece of configuration, and what checks it.
type snippet struct{ kind, text string }

var (
	fence  = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	marked = regexp.MustCompile("(?s)<!-- snippet: (\\S+) -->\n```yaml\n(.*?)```")
)

func snippets(t *testing.T) []snippet {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var found []snippet
	for _, match := range marked.FindAllStringSubmatch(string(text), -1) {
		found = append(found, snippet{match[1], match[2]})
	}
	if all := len(fence.FindAll(text, -1)); all != len(found) || all == 0 {
		t.Fatalf("%d snippets, and %d say what checks them", all, len(found))
	}
	return found
}

func toJSON(t *testing.T, text string) []byte {
	t.Helper()
	out, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The Envoy configuration is read into Envoy's own types, strictly, and the rules that these carry hold at
// every level, inside of Any as well.
func TestEnvoySnippet(t *testing.T) {
	bootstrap := &bootstrapv3.Bootstrap{}
	for _, s := range snippets(t) {
		if s.kind != "envoy.config.bootstrap.v3.Bootstrap" {
			continue
		}
		if err := protojson.Unmarshal(toJSON(t, s.text), bootstrap); err != nil {
			t.Fatal(err)
		}
	}
	if err := bootstrap.ValidateAll(); err != nil {
		t.Error(err)
	}
	seen := map[string]proto.Message{}
	unpack(t, bootstrap.ProtoReflect(), seen)
	filter, ok := seen["envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"].(*extauthzv3.ExtAuthz)
	switch {
	case !ok:
		t.Fatal("there is no filter")
	case filter.GetFailureModeAllow(), !filter.GetEncodeRawHeaders(), !filter.GetWithRequestBody().GetPackAsBytes():
		t.Errorf("the filter is lax: %v", filter)
	}
	if manager, ok := seen["envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"].(*hcmv3.HttpConnectionManager); !ok || len(manager.GetHttpFilters()) != 2 {
		t.Error("the filters are not those two")
	}
}

// unpack checks every Any below a message.
func unpack(t *testing.T, message protoreflect.Message, seen map[string]proto.Message) {
	t.Helper()
	if packed, ok := message.Interface().(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		if checked, ok := inner.(interface{ ValidateAll() error }); !ok {
			t.Errorf("%T has no rules", inner)
		} else if err := checked.ValidateAll(); err != nil {
			t.Error(err)
		}
		seen[string(inner.ProtoReflect().Descriptor().FullName())] = inner
		unpack(t, inner.ProtoReflect(), seen)
		return
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, inner protoreflect.Value) bool {
				unpack(t, inner.Message(), seen)
				return true
			})
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				unpack(t, value.List().Get(i).Message(), seen)
			}
		case !field.IsMap() && !field.IsList() && field.Message() != nil:
			unpack(t, value.Message(), seen)
		}
		return true
	})
}

// The Kubernetes snippets have no field that their schemas do not have.
func TestKubernetesSnippets(t *testing.T) {
	checked := 0
	for _, s := range snippets(t) {
		if !strings.HasSuffix(s.kind, ".json") {
			continue
		}
		checked++
		t.Run(s.kind, func(t *testing.T) {
			schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "schemas", s.kind))
			if err != nil {
				t.Fatal(err)
			}
			var value map[string]any
			if err := json.Unmarshal(toJSON(t, s.text), &value); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Error(err)
			}
			value["unknown"] = true
			if schema.Validate(value) == nil {
				t.Error("the schema takes a field that there is not")
			}
		})
	}
	if checked != 5 {
		t.Errorf("%d snippets have a schema, want 5", checked)
	}
}
