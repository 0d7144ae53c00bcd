package controller_test

import (
	"flag"

	. "github.com/onsi/ginkgo/v2"
)

// sweeps says whether the sweeps are played. In a world the reconcilers run one after another: the race detector finds
// nothing in a sweep, and makes three times the work of it. So `make test` plays them once more, without it.
var sweeps = flag.Bool("sweeps", !raceDetector, "play the sweeps; false by default under the race detector")

// The sweeps, as -ginkgo.label-filter finds them. `make test` plays the crashes beside the others.
var (
	crashSweep    = Label("sweep", "crash")
	takeoverSweep = Label("sweep", "takeover")
	programSweep  = Label("sweep", "program")
)

// aSweep skips the spec where no sweep is to be played.
func aSweep() {
	if !*sweeps {
		Skip("a sweep: played without the race detector, or with -sweeps")
	}
}
