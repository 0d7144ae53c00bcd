// Package lifecycle decides when a passport is issued, extended, silent and ended, and by whom. It
// is pure: it takes what was read and the time, and returns what to write. It does no I/O and reads
// no clock.
//
// Times are whole seconds by the API server's clock. A checkpoint, a block and a deletion happened
// when the API server stamped them; a revocation and a suspension, when the operator first saw them.
package lifecycle
