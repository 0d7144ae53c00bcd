// Package writer is the one process that writes the audit log into its data directory, which package epoch
// describes.
//
// A Log appends to the newest epoch and reads all. It refuses to open where the newest head that is known
// elsewhere covers more than the folder holds: then a person has to say so in the log itself, with Begin.
package writer
