package judge_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	testingclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/judge"
)

// rights are what the API server would say of the one caller that it knows.
type rights struct {
	known, may error
	asked      int
}

func (r *rights) Authenticate(request *http.Request) (user.Info, error) {
	r.asked++
	if r.known == nil && request.Header.Get("Authorization") != "Bearer bot" {
		return nil, access.ErrUnauthenticated
	}
	return &user.DefaultInfo{Name: "the-bot"}, r.known
}

func (r *rights) Authorize(_ context.Context, _ user.Info, right access.Right) error {
	if r.may == nil && (right.Name != "support-bot" || right.Namespace != "support" || right.Verb != "use" || right.Resource != "agentpassports") {
		return access.ErrForbidden
	}
	return r.may
}

func TestCallers(t *testing.T) {
	local := testingclock.NewFakePassiveClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	api := &rights{}
	callers, err := judge.NewKubernetesCallers(api, local)
	if err != nil {
		t.Fatal(err)
	}
	bot := []string{"Bearer bot"}
	say := func(bearer []string, namespace, agent string, want decision.CallerState, asked int) {
		t.Helper()
		before := api.asked
		if got, _ := callers.MayUse(t.Context(), bearer, namespace, agent); got != want || api.asked-before != asked {
			t.Errorf("%v as %s/%s is %v, asked %d times; want %v, %d", bearer, namespace, agent, got, api.asked-before, want, asked)
		}
	}
	say(nil, "support", "support-bot", decision.CallerMissing, 0)
	say([]string{"Bearer bot", "Bearer bot"}, "support", "support-bot", decision.CallerInvalid, 0)
	say([]string{"Basic bot"}, "support", "support-bot", decision.CallerInvalid, 0)
	say([]string{"Bearer other"}, "support", "support-bot", decision.CallerInvalid, 1)
	say(bot, "support", "support-bot", decision.CallerMayUse, 1)

	api.may = access.ErrForbidden // what is remembered is of this caller, this agent and these 5 s
	say(bot, "support", "support-bot", decision.CallerMayUse, 0)
	say([]string{"Bearer other"}, "support", "support-bot", decision.CallerInvalid, 1)
	say(bot, "support", "other-bot", decision.CallerMayNotUse, 1)
	say(bot, "other", "support-bot", decision.CallerMayNotUse, 1)
	local.SetTime(local.Now().Add(5 * time.Second))
	say(bot, "support", "support-bot", decision.CallerMayNotUse, 1)
	say(bot, "support", "support-bot", decision.CallerMayNotUse, 1)

	api.may = nil // a right that was given is there at once
	say(bot, "support", "support-bot", decision.CallerMayUse, 1)
	local.SetTime(local.Now().Add(time.Minute))
	api.may = errors.Join(access.ErrUnavailable)
	say(bot, "support", "support-bot", decision.CallerUnknown, 1)
	api.known = access.ErrUnavailable
	say(bot, "support", "support-bot", decision.CallerUnknown, 1)
}
