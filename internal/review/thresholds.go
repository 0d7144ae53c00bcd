package review

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Thresholds are the numbers that detectors compare with. They hold for the whole operator.
type Thresholds struct {
	// DurationOverrunInfoPercent: a mission that takes more than this share of its estimate, in
	// percent, is flagged duration_overrun (info). Default 100, limits 1 to 10000.
	DurationOverrunInfoPercent int32 `json:"durationOverrunInfoPercent"`

	// DurationOverrunWarningPercent: the same for a warning. Default 150, limits 1 to 10000, and no
	// lower than DurationOverrunInfoPercent.
	DurationOverrunWarningPercent int32 `json:"durationOverrunWarningPercent"`

	// AnomalyMinMissions is how many missions a baseline needs before a mission is compared with it.
	// Default 5, limits 2 to 100.
	AnomalyMinMissions int32 `json:"anomalyMinMissions"`

	// AnomalySigmas is how many standard deviations (σ) over the mean are still usual; a decimal.
	// Default 3, limits 1 to 10.
	AnomalySigmas float64 `json:"anomalySigmas"`

	// AnomalySigmaFloorPercent is the least that counts as σ, in percent of the mean. Default 10,
	// limits 0 to 100.
	AnomalySigmaFloorPercent int32 `json:"anomalySigmaFloorPercent"`

	// AnomalySigmaFloorActions is the least that counts as σ of actions, in actions. Default 3,
	// limits 0 to 1000000.
	AnomalySigmaFloorActions int32 `json:"anomalySigmaFloorActions"`

	// AnomalySigmaFloorSeconds is the least that counts as σ of mission time, in seconds. Default 30,
	// limits 0 to 86400.
	AnomalySigmaFloorSeconds int32 `json:"anomalySigmaFloorSeconds"`

	// AnomalySigmaFloorCallRate is the least that counts as σ of calls a minute. Default 10, limits 0 to
	// 1000000.
	AnomalySigmaFloorCallRate int32 `json:"anomalySigmaFloorCallRate"`

	// ActionsMismatchPercent and ActionsMismatchActions: a checkout whose actions differ from the calls
	// that the gateways saw by more than both, in percent of these and in actions, is flagged
	// actions_mismatch. Defaults 20 and 5, limits 0 to 10000 and 0 to 1000000.
	ActionsMismatchPercent int32 `json:"actionsMismatchPercent"`
	ActionsMismatchActions int32 `json:"actionsMismatchActions"`

	// DeniedCallsWarning is from how many refused calls on denied_calls is a warning, DeniedCallsCritical
	// from how many on it is critical. Defaults 1 and 10, limits 1 to 1000000; the second is no lower
	// than the first.
	DeniedCallsWarning  int32 `json:"deniedCallsWarning"`
	DeniedCallsCritical int32 `json:"deniedCallsCritical"`

	// ScopeDriftCall is the score of one call, ScopeDriftSum that of all calls of a mission, from which
	// on scope_drift is raised; decimals. Defaults 0.8 and 2, limits 0.1 to 1 and 0.1 to 10.
	ScopeDriftCall float64 `json:"scopeDriftCall"`
	ScopeDriftSum  float64 `json:"scopeDriftSum"`

	// CredentialBurst is how many uses of credentials 30 seconds may hold before credential_burst is
	// raised. Default 15, limits 1 to 1000.
	CredentialBurst int32 `json:"credentialBurst"`

	// UseAfterCheckoutSeconds is how long after its checkout a token may still be shown before
	// use_after_checkout is raised, in seconds. Default 5, limits 0 to 300.
	UseAfterCheckoutSeconds int32 `json:"useAfterCheckoutSeconds"`

	// CheckpointBurst is how many checkpoints one interval may hold before checkpoint_burst is
	// raised. Default 10, limits 1 to 1000.
	CheckpointBurst int32 `json:"checkpointBurst"`

	// AbandonedAfterSeconds is how long after its passport's expiry an agent may still check out,
	// in seconds, before the operator does it and raises abandoned_mission. Default 3600, limits 60
	// to 86400.
	AbandonedAfterSeconds int32 `json:"abandonedAfterSeconds"`
}

// DefaultThresholds are the thresholds where no config file says otherwise.
func DefaultThresholds() Thresholds {
	return Thresholds{
		DurationOverrunInfoPercent:    100,
		DurationOverrunWarningPercent: 150,
		AnomalyMinMissions:            5,
		AnomalySigmas:                 3,
		AnomalySigmaFloorPercent:      10,
		AnomalySigmaFloorActions:      3,
		AnomalySigmaFloorSeconds:      30,
		AnomalySigmaFloorCallRate:     10,
		ActionsMismatchPercent:        20,
		ActionsMismatchActions:        5,
		DeniedCallsWarning:            1,
		DeniedCallsCritical:           10,
		ScopeDriftCall:                0.8,
		ScopeDriftSum:                 2,
		CredentialBurst:               15,
		UseAfterCheckoutSeconds:       5,
		CheckpointBurst:               10,
		AbandonedAfterSeconds:         3600,
	}
}

// threshold is one field, by the name that it has in the config file, with its limits.
type threshold struct {
	name     string
	whole    *int32
	decimal  *float64
	min, max float64
}

func (t *Thresholds) all() []threshold {
	return []threshold{
		{name: "durationOverrunInfoPercent", whole: &t.DurationOverrunInfoPercent, min: 1, max: 10_000},
		{name: "durationOverrunWarningPercent", whole: &t.DurationOverrunWarningPercent, min: 1, max: 10_000},
		{name: "anomalyMinMissions", whole: &t.AnomalyMinMissions, min: 2, max: 100},
		{name: "anomalySigmas", decimal: &t.AnomalySigmas, min: 1, max: 10},
		{name: "anomalySigmaFloorPercent", whole: &t.AnomalySigmaFloorPercent, min: 0, max: 100},
		{name: "anomalySigmaFloorActions", whole: &t.AnomalySigmaFloorActions, min: 0, max: 1_000_000},
		{name: "anomalySigmaFloorSeconds", whole: &t.AnomalySigmaFloorSeconds, min: 0, max: 86_400},
		{name: "anomalySigmaFloorCallRate", whole: &t.AnomalySigmaFloorCallRate, min: 0, max: 1_000_000},
		{name: "actionsMismatchPercent", whole: &t.ActionsMismatchPercent, min: 0, max: 10_000},
		{name: "actionsMismatchActions", whole: &t.ActionsMismatchActions, min: 0, max: 1_000_000},
		{name: "deniedCallsWarning", whole: &t.DeniedCallsWarning, min: 1, max: 1_000_000},
		{name: "deniedCallsCritical", whole: &t.DeniedCallsCritical, min: 1, max: 1_000_000},
		{name: "scopeDriftCall", decimal: &t.ScopeDriftCall, min: 0.1, max: 1},
		{name: "scopeDriftSum", decimal: &t.ScopeDriftSum, min: 0.1, max: 10},
		{name: "credentialBurst", whole: &t.CredentialBurst, min: 1, max: 1000},
		{name: "useAfterCheckoutSeconds", whole: &t.UseAfterCheckoutSeconds, min: 0, max: 300},
		{name: "checkpointBurst", whole: &t.CheckpointBurst, min: 1, max: 1000},
		{name: "abandonedAfterSeconds", whole: &t.AbandonedAfterSeconds, min: 60, max: 86_400},
	}
}

// set takes a value as JSON. An error says what may stand there.
func (t threshold) set(value []byte) error {
	target, kind := any(t.decimal), "number"
	if t.whole != nil {
		target, kind = t.whole, "whole number"
	}
	if err := json.Unmarshal(value, target); err != nil || !t.within() {
		return fmt.Errorf("review.%s: %s is not a %s within %s to %s",
			t.name, clip(string(value), 64), kind, rounded(t.min), rounded(t.max))
	}
	return nil
}

func (t threshold) within() bool {
	if t.whole != nil {
		return t.min <= float64(*t.whole) && float64(*t.whole) <= t.max
	}
	return t.min <= *t.decimal && *t.decimal <= t.max
}

// consistent says where one threshold contradicts another.
func (t *Thresholds) consistent() error {
	var problems []error
	if t.DurationOverrunWarningPercent < t.DurationOverrunInfoPercent {
		problems = append(problems, fmt.Errorf("review.durationOverrunWarningPercent: %d is below durationOverrunInfoPercent, which is %d",
			t.DurationOverrunWarningPercent, t.DurationOverrunInfoPercent))
	}
	if t.DeniedCallsCritical < t.DeniedCallsWarning {
		problems = append(problems, fmt.Errorf("review.deniedCallsCritical: %d is below deniedCallsWarning, which is %d",
			t.DeniedCallsCritical, t.DeniedCallsWarning))
	}
	return errors.Join(problems...)
}
