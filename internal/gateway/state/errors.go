package state

import "errors"

// ErrDeleted means that what is waited for was deleted.
var ErrDeleted = errors.New("the object was deleted")
