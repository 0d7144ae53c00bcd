package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
)

// statementType is the first line of every statement. No origin is like it, so that a statement never
// passes for a head nor a head for a statement.
const statementType = "agentpassport.dev/audit-log-key/v1"

// Statement says from where on a key signs the heads of a log.
type Statement struct {
	// Key signs.
	Key Public
	// Epoch and From are the tree and its size from which on the key signs.
	Epoch, From uint64
	// Since is when that was, in UTC, to the second.
	Since time.Time
	// before is the hash of the text of the statement before it, audit.Zero for the first.
	before string
	// signed is the statement as a signed note.
	signed string
}

func (s Statement) text() string {
	return fmt.Sprintf("%s\n%s\n%d %d\n%s\n%s\n", statementType, s.Key, s.Epoch, s.From,
		s.Since.UTC().Format(time.RFC3339), s.before)
}

func (s Statement) hash() string {
	sum := sha256.Sum256([]byte(s.text()))
	return hex.EncodeToString(sum[:])
}

// sign is the statement signed by its key and by those given: the key before it.
func (s Statement) sign(own Private, before ...Private) (Statement, error) {
	signers := make([]note.Signer, 0, 1+len(before))
	signers = append(signers, own.signer(own.name))
	for _, private := range before {
		signers = append(signers, private.signer(private.name))
	}
	signed, err := note.Sign(&note.Note{Text: s.text()}, signers...)
	s.signed = string(signed)
	return s, err
}

var errStatement = errors.New("its statement")

// openStatement reads a signed statement that follows the one before it, nil for the first.
func openStatement(signed string, before *Statement) (Statement, error) {
	text, _, found := strings.Cut(signed, "\n\n")
	if !found {
		return Statement{}, fmt.Errorf("%w is no signed note", errStatement)
	}
	statement, err := parseStatement(text + "\n")
	if err != nil {
		return Statement{}, err
	}
	statement.signed = signed
	want, signers := audit.Zero, []Public{statement.Key}
	if before != nil {
		if statement.Key.name != before.Key.name {
			return Statement{}, fmt.Errorf("%w is for another log", errStatement)
		}
		want, signers = before.hash(), append(signers, before.Key)
	}
	if statement.before != want {
		return Statement{}, fmt.Errorf("%w does not follow the one before it", errStatement)
	}
	for _, signer := range signers {
		verifier, err := signer.verifier(signer.name)
		if err != nil {
			return Statement{}, err
		}
		if _, err := note.Open([]byte(signed), note.VerifierList(verifier)); err != nil {
			return Statement{}, fmt.Errorf("%w is not signed by %s", errStatement, signer)
		}
	}
	return statement, nil
}

func parseStatement(text string) (Statement, error) {
	bad := fmt.Errorf("%w is none", errStatement)
	lines := strings.Split(text, "\n")
	if len(lines) != 6 || lines[0] != statementType {
		return Statement{}, bad
	}
	key, err := ParsePublic(lines[1])
	if err != nil {
		return Statement{}, bad
	}
	epoch, from, _ := strings.Cut(lines[2], " ")
	s := Statement{Key: key, before: lines[4]}
	var errs [3]error
	s.Epoch, errs[0] = strconv.ParseUint(epoch, 10, 64)
	s.From, errs[1] = strconv.ParseUint(from, 10, 64)
	s.Since, errs[2] = time.Parse(time.RFC3339, lines[3])
	// Its one form, so that what was signed is what was read.
	if errors.Join(errs[:]...) != nil || s.Epoch == 0 || s.text() != text {
		return Statement{}, bad
	}
	return s, nil
}
