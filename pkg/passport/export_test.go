package passport

import (
	"context"
	"time"
)

// Unhurried has a Client tell how long it would wait, and not wait.
func (c *Client) Unhurried(told func(time.Duration)) {
	c.pause = func(_ context.Context, long time.Duration) error {
		told(long)
		return nil
	}
}
