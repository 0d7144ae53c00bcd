package playground

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// eventually asks check until it answers with neither something missing nor an error. When the
// time is over, the last of these tells why.
func eventually(
	ctx context.Context, limit time.Duration, what string, check func(context.Context) (missing string, err error),
) error {
	var last string
	err := wait.PollUntilContextTimeout(ctx, pollInterval, limit, true, func(ctx context.Context) (bool, error) {
		missing, err := check(ctx)
		switch {
		case ctx.Err() != nil: // keep what was said before the time was over
		case err != nil:
			last = err.Error()
		default:
			last = missing
		}
		return err == nil && missing == "", nil
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("waited %s for %s: %s", limit, what, last)
	}
	return nil
}
