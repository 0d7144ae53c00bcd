package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

const (
	// sizeType is the type of the body of a 409 that names the size that the witness has last signed.
	sizeType = "text/x.tlog.size"
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 64 << 10
)

// staleError means that a witness has last signed a head of another size than it was told.
type staleError struct{ size uint64 }

func (e staleError) Error() string {
	return fmt.Sprintf("it has last signed a head of %d records", e.size)
}

// addCheckpoint asks a witness once to sign a head, given the size that it has last signed and a proof that
// the tree has only grown since, and returns the lines of its signatures.
func addCheckpoint(ctx context.Context, client *http.Client, to endpoint, old uint64, proof [][]byte, checkpoint []byte) ([]byte, error) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, hash := range proof {
		body.WriteString(base64.StdEncoding.EncodeToString(hash) + "\n")
	}
	body.WriteByte('\n')
	body.Write(checkpoint)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, &body)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		return signatures(checkpoint, answer, to.key)
	case http.StatusConflict:
		if response.Header.Get("Content-Type") != sizeType {
			return nil, errors.New("it has signed another head of this size: the log was forked, or its data set back")
		}
		size, err := strconv.ParseUint(strings.TrimSuffix(string(answer), "\n"), 10, 64)
		if err != nil {
			return nil, errors.New("its answer 409 names no size")
		}
		return nil, staleError{size}
	case http.StatusForbidden:
		return nil, errors.New("it does not know the key of this log (403)")
	case http.StatusNotFound:
		return nil, errors.New("it does not know this log (404)")
	case http.StatusUnprocessableEntity:
		return nil, errors.New("it does not take the proof that the tree only grew (422)")
	default:
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
}

// signatures takes from an answer the signatures of this witness that hold, and nothing else.
func signatures(checkpoint, answer []byte, key note.Verifier) ([]byte, error) {
	signed, err := note.Open(append(bytes.Clone(checkpoint), answer...), note.VerifierList(key))
	if err != nil {
		return nil, errors.New("its answer is no signature of the head with its key")
	}
	var lines []byte
	for _, signature := range signed.Sigs {
		lines = fmt.Appendf(lines, "— %s %s\n", signature.Name, signature.Base64)
	}
	return lines, nil
}
