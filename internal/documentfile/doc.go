// Package documentfile reads the files that documents stand in: a document as it is published, or a manifest of an
// AgentPassport or CapabilityPassport with one in it; and writes the manifest of a published document, with its text
// verbatim. It is pure: callers read and write the files.
package documentfile
