package audit

import (
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
	return checkValues(record)
}

// Known reports that there is such an action.
func (a Action) Known() bool {
	switch a {
	case PassportIssue, PassportCheckpoint, PassportCheckout, PassportReviewDecide, PassportRevoke,
		PassportRevokeCascade, PassportExpire, PassportReject, AgentBlock, AgentUnblock, SignalRaise,
		CredentialProxy, DocumentVerify, ConfigChange, KeyRotate, EpochBegin:
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
