package token

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrNoStatusList means that no passport is in a list: there is none of that number.
var ErrNoStatusList = errors.New("there is no such status list")

// StatusLists gives signed status lists.
type StatusLists interface {
	// List gives the newest token of a list of an epoch, by its number. The error is ErrNoStatusList where
	// there is none; any other is for the moment.
	List(ctx context.Context, epoch, list int64) (jwt string, err error)
}

// StatusListPattern is what NewStatusListHandler answers, as a pattern of http.ServeMux.
const StatusListPattern = "GET " + statusListsPath + "{epoch}/{list}"

// NewStatusListHandler serves status lists to anyone, under StatusListPattern. It answers 404 for a list
// that there is not, and 503 where it cannot be had now.
func NewStatusListHandler(lists StatusLists) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		epoch, list, err := parseStatusListPath(r.PathValue("epoch"), r.PathValue("list"))
		if err != nil {
			refuse(w, http.StatusNotFound, "NOT_FOUND", ErrNoStatusList.Error())
			return
		}
		signed, err := lists.List(r.Context(), epoch, list)
		switch {
		case errors.Is(err, ErrNoStatusList):
			refuse(w, http.StatusNotFound, "NOT_FOUND", ErrNoStatusList.Error())
			return
		case err != nil:
			w.Header().Set("Retry-After", "5")
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "the status list cannot be made now: try again")
			return
		}
		w.Header().Set("Content-Type", StatusListMediaType)
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(StatusListTTL/time.Second)))
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(signed))))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte(signed)))
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, code, message)
}
