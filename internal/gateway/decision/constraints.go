package decision

// Constraints are the constraints on a service, ready to be asked.
type Constraints struct{}
