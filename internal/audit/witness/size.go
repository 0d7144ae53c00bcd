package witness

import (
	"fmt"

	"github.com/transparency-dev/formats/log"
)

// sizeOf is the size in a head that the log itself has signed.
func sizeOf(checkpoint []byte) (uint64, error) {
	var head log.Checkpoint
	if _, err := head.Unmarshal(checkpoint); err != nil {
		return 0, fmt.Errorf("the head of the log: %w", err)
	}
	return head.Size, nil
}
