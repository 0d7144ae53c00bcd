package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/wire"
)

// counted is what a count is of. Sent comes before refused, so that whoever names service after service and
// is refused never hides what was sent: see Calls.
type counted byte

const (
	sent counted = iota + 1
	seen
	refused
)

// sums are counts to be added, by the key that they have in the file.
type sums map[string]uint64

// add counts what a record of a gateway says.
func (s sums) add(f facets) {
	switch {
	case f.PassportJTI == "":
	case f.Action == audit.PassportSeen:
		s[sumKey(f.Namespace, f.PassportJTI, seen, f.Facts.Gateway, "")]++
	case f.Action != audit.CredentialProxy || f.Facts.Call == nil:
	case f.Outcome == audit.Success:
		s[sumKey(f.Namespace, f.PassportJTI, sent, f.Facts.Call.Service, "")]++
	default:
		s[sumKey(f.Namespace, f.PassportJTI, refused, f.Facts.Call.Service, f.ErrorCode)]++
	}
}

// write adds the counts to what is there. It is in the transaction that notes how far the index goes, so that
// none is added twice.
func (s sums) write(tx *bolt.Tx, to *state) error {
	for _, k := range slices.Sorted(maps.Keys(s)) {
		count := s[k]
		if raw := tx.Bucket(calls).Get([]byte(k)); raw != nil {
			before, err := countOf(raw)
			if err != nil {
				return err
			}
			count += before
		}
		if err := put(tx, to, calls, []byte(k), binary.BigEndian.AppendUint64(nil, count)); err != nil {
			return err
		}
	}
	return nil
}

func countOf(raw []byte) (uint64, error) {
	if len(raw) != 8 {
		return 0, errDamaged
	}
	return binary.BigEndian.Uint64(raw), nil
}

// sumPrefix begins the keys of one passport's counts, and no other's.
func sumPrefix(namespace, jti string) []byte {
	return appendText(appendText(nil, namespace), jti)
}

// sumKey is the key of one count. Each part is bounded where it is longer than bbolt's keys may be.
func sumKey(namespace, jti string, what counted, name, code string) string {
	k := append(sumPrefix(namespace, jti), byte(what))
	return string(append(appendText(k, name), cut(code)...))
}

// appendText puts a text with its length before it.
func appendText(to []byte, text string) []byte {
	text = cut(text)
	return append(binary.BigEndian.AppendUint16(to, uint16(len(text))), text...) //nolint:gosec // G115: cut to longest
}

// cut bounds a text: a name of Kubernetes and a code are shorter, so that only nonsense falls together.
func cut(text string) string { return text[:min(len(text), longest)] }

// Calls are the counts of one passport in a namespace, of all that the log has when it is asked. It waits for
// that as Wait does.
func (x *Index) Calls(ctx context.Context, namespace, jti string) (wire.Calls, error) {
	if err := x.Wait(ctx, x.source.Head().Size); err != nil {
		return wire.Calls{}, err
	}
	found := wire.Calls{JTI: jti, Services: map[string]wire.ServiceCalls{}, Seen: []string{}}
	err := guarded(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			prefix := sumPrefix(namespace, jti)
			cursor := tx.Bucket(calls).Cursor()
			for k, v := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := tally(&found, k[len(prefix):], v); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return found, err
}

// tally takes one count in. Refusals of further services than an answer may have are summed without a name.
func tally(found *wire.Calls, k, v []byte) error {
	if len(k) < 3 {
		return errDamaged
	}
	what, length := counted(k[0]), int(binary.BigEndian.Uint16(k[1:]))
	if len(k) < 3+length {
		return errDamaged
	}
	name, code := string(k[3:3+length]), string(k[3+length:])
	count, err := countOf(v)
	if err != nil {
		return err
	}
	if what == seen {
		found.Seen = append(found.Seen, name)
		return nil
	}
	if _, known := found.Services[name]; !known && what == refused && len(found.Services) >= wire.MaxServices {
		name = ""
	}
	service := found.Services[name]
	if what == sent {
		service.Sent = int64(count) //nolint:gosec // G115: it counts records
	} else {
		if service.Refused == nil {
			service.Refused = map[string]int64{}
		}
		service.Refused[code] += int64(count) //nolint:gosec // G115: it counts records
	}
	found.Services[name] = service
	return nil
}
