package plugin

import (
	"context"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
)

// readEvents reads the trail from the Events of the Passport and its Checkout.
func (t *story) readEvents(ctx context.Context, c *cluster) {
	all, err := listed[*eventsv1.Event](ctx, c, &eventsv1.EventList{}, c.in(false))
	if err != nil {
		t.note("the trail is", err)
		return
	}
	about := []types.UID{t.passport.UID}
	if t.checkout != nil {
		about = append(about, t.checkout.UID)
	}
	all = slices.DeleteFunc(all, func(event *eventsv1.Event) bool { return !slices.Contains(about, event.Regarding.UID) })
	slices.SortStableFunc(all, func(a, b *eventsv1.Event) int { return eventTime(a).Compare(eventTime(b)) })
	for _, event := range all {
		t.trail = append(t.trail, stamp(eventTime(event))+"  "+event.Reason+": "+event.Note)
	}
}

// eventTime is when an Event was first told.
func eventTime(event *eventsv1.Event) time.Time {
	switch {
	case !event.EventTime.IsZero():
		return event.EventTime.Time
	case !event.DeprecatedFirstTimestamp.IsZero():
		return event.DeprecatedFirstTimestamp.Time
	default:
		return event.CreationTimestamp.Time
	}
}
