package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"agentpassport.dev/operator/internal/token"
)

// MaxBytes is the longest record: what one entry of a tlog-tiles log can hold.
const MaxBytes = 1<<16 - 1

// Zero stands where a record has none before it.
const Zero = "0000000000000000000000000000000000000000000000000000000000000000"

// ErrRecord means that something is not a record as this package writes it. An error that wraps it
// says why, and quotes no value.
var ErrRecord = errors.New("not an audit record")

// Encode is the record in its one form, canonical JSON.
func Encode(record Record) ([]byte, error) {
	raw, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	canonical, err := token.CanonicalJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if len(canonical) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRecord, len(canonical), MaxBytes)
	}
	return canonical, nil
}

// Parse reads what Encode wrote, and nothing else: another order, another spelling or a field that
// this version does not know is refused, and so is a hash that is not the record's own.
func Parse(raw []byte) (Record, error) {
	if len(raw) > MaxBytes {
		return Record{}, fmt.Errorf("%w: %d bytes, at most %d", ErrRecord, len(raw), MaxBytes)
	}
	var record Record
	if err := json.Unmarshal(raw, &record); err != nil {
		return Record{}, fmt.Errorf("%w: no JSON of one", ErrRecord)
	}
	again, err := Encode(record)
	if err != nil {
		return Record{}, err
	}
	if !bytes.Equal(again, raw) {
		return Record{}, fmt.Errorf("%w: not in canonical form, or with unknown fields", ErrRecord)
	}
	if record.Hash != hashOf(raw, record) {
		return Record{}, fmt.Errorf("%w: its hash is not that of its fields", ErrRecord)
	}
	return record, nil
}

// seal gives a record its hash, and returns its one form with it.
func seal(record Record) (Record, []byte, error) {
	record.Hash = Zero // of the right length, to be replaced
	raw, err := Encode(record)
	if err != nil {
		return Record{}, nil, err
	}
	hash := hashOf(raw, record)
	raw = bytes.Replace(raw, hashMember(record), hashMember(Record{Hash: hash}), 1)
	record.Hash = hash
	return record, raw, nil
}

// hashOf is the hash over every field but the hash itself, of a record in its one form: that with the
// member of that name cut out. No other member is called hash, at any depth, and none comes last.
func hashOf(raw []byte, record Record) string {
	before, after, _ := bytes.Cut(raw, hashMember(record))
	digest := sha256.New()
	digest.Write(before)
	digest.Write(after)
	return hex.EncodeToString(digest.Sum(nil))
}

func hashMember(record Record) []byte {
	return []byte(`"hash":"` + record.Hash + `",`)
}

// asRead is the record as it will be read again: text that is not UTF-8 is mended in writing, and a
// link must not depend on what cannot be read.
func asRead(record Record) (Record, error) {
	raw, err := json.Marshal(record)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	var read Record
	if err := json.Unmarshal(raw, &read); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return read, nil
}
