package api_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/api"
)

// overtaken is a client that somebody else is quicker than.
type overtaken struct {
	client.Client
	by func()
}

// Patch implements client.Client.
func (o overtaken) Patch(ctx context.Context, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
	o.by()
	return o.Client.Patch(ctx, object, patch, opts...)
}

func newBlock() *v1alpha1.AgentBlock {
	return &v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Name: "stop"},
		Spec:       v1alpha1.AgentBlockSpec{AgentRef: &v1alpha1.AgentReference{Name: "support-bot"}, Reason: "odd"},
	}
}

// A block that was deleted and made again, under the same name, after it was read is another block: nobody
// has asked for it to be lifted.
func TestABlockMadeAgainIsNotLifted(t *testing.T) {
	p := newPlace(t)
	block := newBlock()
	p.create(block)
	again := newBlock()
	other := options
	other.Client = overtaken{Client: options.Client, by: func() {
		if err := server.Admin().Delete(t.Context(), block); err != nil {
			t.Error(err)
		}
		p.create(again)
	}}
	slow := httptest.NewServer(api.New(other))
	t.Cleanup(slow.Close)
	p.url = slow.URL

	got := p.post("responder", "/v1/agents/support-bot/unblock", `{"reason": "mended"}`).ok()
	if len(got.list("lifted")) != 0 || !strings.Contains(got.text("remaining", 0, "message"), "try again") {
		t.Errorf("unblock: %s", got.raw)
	}
	if err := server.Admin().Get(t.Context(), client.ObjectKeyFromObject(again), again); err != nil || again.Spec.Lifted != nil {
		t.Errorf("%+v, %v", again.Spec, err)
	}
}
