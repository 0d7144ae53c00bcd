package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// maxInteger is the largest integer that canonical JSON keeps exact.
const maxInteger = 1<<53 - 1

// Check refuses a record that must not be written: one that lacks what every record has, that names
// an action, layer or outcome that does not exist, whose id is not that of its object and step, or
// that holds what looks like a token or a credential, in any field.
func Check(record Record) error {
	switch {
	case !record.Action.Known():
		return fmt.Errorf("%w: its action is none that there is", ErrRecord)
	case record.Layer != Vault && record.Layer != Proxy && record.Layer != System:
		return fmt.Errorf("%w: its layer is none that there is", ErrRecord)
	case !record.Outcome.Known():
		return fmt.Errorf("%w: its outcome is none that there is", ErrRecord)
	case record.Step != string(record.Action) && !strings.HasPrefix(record.Step, string(record.Action)+"/"):
		return fmt.Errorf("%w: its step is not one of %s", ErrRecord, record.Action)
	case record.Object.Kind == "", record.Object.UID == "":
		return fmt.Errorf("%w: object needs kind and uid", ErrRecord)
	case record.ID != ID(record.Object.UID, record.Step):
		return fmt.Errorf("%w: its id is not that of its object and step", ErrRecord)
	case record.Actor.Username == "":
		return fmt.Errorf("%w: actor.username is required", ErrRecord)
	case record.Time.IsZero(), record.Time.Location() != time.UTC:
		return fmt.Errorf("%w: time is required, in UTC", ErrRecord)
	case strings.HasPrefix(string(record.Action), "passport.") && record.PassportJTI == "":
		return fmt.Errorf("%w: %s needs passport_jti", ErrRecord, record.Action)
	case record.Action == PassportIssue && (record.Agent == nil || record.Agent.UID == ""):
		return fmt.Errorf("%w: %s needs agent.uid", ErrRecord, record.Action)
	}
	if err := checkGateway(record); err != nil {
		return err
	}
	if record.Action == EpochBegin || record.Object.Kind == KindAuditLog {
		if err := checkOwn(record); err != nil {
			return err
		}
	}
	return checkValues(record)
}

// checkGateway refuses a record of what a gateway saw that cannot be summed, and another one that says so.
func checkGateway(record Record) error {
	facts := record.Facts
	if facts == nil {
		facts = &Facts{}
	}
	switch {
	case (record.Action == CredentialProxy || record.Action == PassportSeen) && record.Layer != Proxy:
		return fmt.Errorf("%w: %s needs layer %s", ErrRecord, record.Action, Proxy)
	case record.Action == CredentialProxy && record.PassportJTI == "":
		return fmt.Errorf("%w: %s needs passport_jti", ErrRecord, record.Action)
	case record.Action == CredentialProxy && (facts.Call == nil || facts.Call.Gateway == "" || facts.Call.Front == ""):
		return fmt.Errorf("%w: %s needs facts.call with gateway and front", ErrRecord, record.Action)
	case record.Action == CredentialProxy && record.Outcome != Success && record.ErrorCode == "":
		return fmt.Errorf("%w: %s that is no success needs error_code", ErrRecord, record.Action)
	case record.Action == PassportSeen && facts.Gateway == "":
		return fmt.Errorf("%w: %s needs facts.gateway", ErrRecord, record.Action)
	case record.Action != CredentialProxy && facts.Call != nil:
		return fmt.Errorf("%w: facts.call is for %s alone", ErrRecord, CredentialProxy)
	case record.Action != PassportSeen && facts.Gateway != "":
		return fmt.Errorf("%w: facts.gateway is for %s alone", ErrRecord, PassportSeen)
	}
	return nil
}

// checkOwn refuses a record of the log itself that does not say what it has to.
func checkOwn(record Record) error {
	switch {
	case record.Action != EpochBegin && record.Action != KeyRotate:
		return fmt.Errorf("%w: %s is no step of an %s", ErrRecord, record.Action, KindAuditLog)
	case record.Layer != System || record.Object.Kind != KindAuditLog || record.Object.UID != LogUID(record.Object.Name):
		return fmt.Errorf("%w: %s needs layer %s and an object of kind %s with its uid", ErrRecord, record.Action, System, KindAuditLog)
	case record.PassportJTI != "", record.Agent != nil:
		return fmt.Errorf("%w: %s of the log is about no passport and no agent", ErrRecord, record.Action)
	case record.Facts == nil:
		return fmt.Errorf("%w: %s needs facts", ErrRecord, record.Action)
	case record.Action == KeyRotate && record.Facts.KeyID == "":
		return fmt.Errorf("%w: %s needs facts.key_id", ErrRecord, record.Action)
	case record.Action == EpochBegin && record.Facts.Reason == "":
		return fmt.Errorf("%w: %s needs facts.reason", ErrRecord, record.Action)
	case record.Action == EpochBegin && (!rootOf(record.Facts.Size, record.Facts.Digest) || !rootOf(record.Facts.Kept, record.Facts.KeptDigest)):
		return fmt.Errorf("%w: %s needs the root of each tree whose size it names, in hex", ErrRecord, record.Action)
	}
	return nil
}

// rootOf reports whether a digest can be the root of a tree of this size; none is of no tree.
func rootOf(size int64, digest string) bool {
	raw, err := hex.DecodeString(digest)
	return err == nil && (len(raw) == sha256.Size || (size == 0 && digest == ""))
}

// Known reports that there is such an action.
func (a Action) Known() bool {
	switch a {
	case PassportIssue, PassportCheckpoint, PassportCheckout, PassportReviewDecide, PassportRevoke,
		PassportRevokeCascade, PassportExpire, PassportReject, AgentBlock, AgentUnblock, SignalRaise,
		CredentialProxy, PassportSeen, DocumentVerify, ConfigChange, KeyRotate, EpochBegin:
		return true
	}
	return false
}

// Known reports that there is such an outcome.
func (o Outcome) Known() bool {
	return o == Success || o == Failure || o == Pending || o == Blocked
}

// checkValues looks into every field, also those that a later version adds.
func checkValues(record Record) error {
	raw, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	var fields map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return checkValue("", fields)
}

func checkValue(path string, value any) error {
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			if err := checkValue(path+"."+name, field); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range value {
			if err := checkValue(path, item); err != nil {
				return err
			}
		}
	case string:
		if holdsSecret(value) {
			return fmt.Errorf("%w: %s holds what looks like a token or a credential; take it out (Redact)",
				ErrRecord, path[1:])
		}
	case json.Number:
		if n, err := value.Int64(); err != nil || n < 0 || n > maxInteger {
			return fmt.Errorf("%w: %s is not from 0 to 2^53-1", ErrRecord, path[1:])
		}
	}
	return nil
}
