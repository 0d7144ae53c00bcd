package controller

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// actions says, for the Events of each kind of news, what the operator did.
var actions = map[lifecycle.NewsKind]string{
	lifecycle.NewsIssued:             "Issue",
	lifecycle.NewsPending:            "Wait",
	lifecycle.NewsRejected:           "Reject",
	lifecycle.NewsExtended:           "Extend",
	lifecycle.NewsSignal:             "Detect",
	lifecycle.NewsExpired:            "Expire",
	lifecycle.NewsRevoked:            "Revoke",
	lifecycle.NewsCheckedOut:         "CheckOut",
	lifecycle.NewsCheckpointRejected: "RejectCheckpoint",
	lifecycle.NewsPolicyWarning:      "Issue",
}

// tell makes Events and metrics of what happened to a passport. It is called after the state that it
// tells of is stored.
func tell(recorder events.EventRecorder, passport *v1alpha1.Passport, news []lifecycle.News) {
	for _, item := range news {
		count(passport, item)
		kind := corev1.EventTypeWarning
		if good(item.Kind) {
			kind = corev1.EventTypeNormal
		}
		var related runtime.Object
		if item.Checkpoint != nil {
			related = item.Checkpoint
		}
		reason, message := camelCase(item.Reason), item.Message
		if final(item.Kind) {
			reason, message = string(item.Kind), reason+": "+message
		}
		recorder.Eventf(passport, related, kind, reason, actions[item.Kind], "%s", note(message))
	}
}

// good says whether news is nothing to look into.
func good(kind lifecycle.NewsKind) bool {
	return kind == lifecycle.NewsIssued || kind == lifecycle.NewsExtended || kind == lifecycle.NewsCheckedOut
}

// final says whether news ends the passport. Its Event goes by the phase: the reason may stand on
// the Event of the signal before it.
func final(kind lifecycle.NewsKind) bool {
	return kind == lifecycle.NewsExpired || kind == lifecycle.NewsRevoked || kind == lifecycle.NewsRejected
}

func count(passport *v1alpha1.Passport, item lifecycle.News) {
	var mode string
	if passport.Status.Issued != nil {
		mode = string(passport.Status.Issued.Mode)
	}
	switch item.Kind {
	case lifecycle.NewsIssued:
		passportsIssued.WithLabelValues(mode).Inc()
	case lifecycle.NewsPending:
		waits.WithLabelValues(item.Reason).Inc()
	case lifecycle.NewsRejected:
		passportsRefused.WithLabelValues(item.Reason).Inc()
	case lifecycle.NewsExtended:
		checkpointsAccepted.WithLabelValues(mode).Inc()
	case lifecycle.NewsSignal:
		signalsRaised.WithLabelValues(item.Reason).Inc()
	case lifecycle.NewsExpired, lifecycle.NewsRevoked, lifecycle.NewsCheckedOut:
		passportsEnded.WithLabelValues(string(item.Kind), item.Reason).Inc()
	case lifecycle.NewsCheckpointRejected:
		checkpointsRejected.WithLabelValues(item.Reason).Inc()
	case lifecycle.NewsPolicyWarning: // it is of one that is issued, and counted as that
	}
}

// camelCase turns a signal's type, such as checkpoint_silence, into an Event's reason.
func camelCase(reason string) string {
	if !strings.Contains(reason, "_") {
		return reason
	}
	var b strings.Builder
	for part := range strings.SplitSeq(reason, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// note cuts a message to the 1024 bytes that an Event holds (events.k8s.io/v1, note).
func note(message string) string {
	const limit = 1000
	if len(message) <= limit {
		return message
	}
	return strings.ToValidUTF8(message[:limit], "") + "…"
}
