package spool

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"agentpassport.dev/operator/internal/audit"
)

const (
	// refusedFile holds the records that the log will never take, one a line.
	refusedFile = "refused"
	// maxRefused is how many bytes of them are kept: the first ones tell what is wrong.
	maxRefused = 16 << 20
)

// refusal is a record that was refused. The record is text, without what the log takes for a credential.
type refusal struct {
	Time   time.Time `json:"time"`
	Why    string    `json:"why"`
	Record string    `json:"record"`
}

// setAside keeps a record that the log refuses, for a person to look at.
func (s *Spool) setAside(record []byte, why string) error {
	line, err := json.Marshal(refusal{Time: s.Clock.Now().UTC(), Why: audit.Redact(why), Record: audit.Redact(string(record))})
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, refusedFile)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, mode) //nolint:gosec // G304: a file of the spool
	if err != nil {
		return err
	}
	about, err := file.Stat()
	if err == nil && about.Size()+int64(len(line)) < maxRefused {
		_, err = file.Write(append(line, '\n'))
	}
	return errors.Join(err, file.Sync(), file.Close())
}
